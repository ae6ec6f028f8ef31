/** The window's entry: styles, then the app. Everything a screen shows is asked of main; nothing is kept here. */
import { mount } from 'svelte';
import './tokens.css';
import './base.css';
import App from './App.svelte';

mount(App, { target: document.getElementById('app')! });

/** The native menu: the platform's standard roles in the person's language, and the way to every screen. */
import type { MenuItemConstructorOptions as Item } from 'electron';
import type { Labels } from './labels.ts';

/** In the order of the window's rail; Ctrl/Cmd+1 to 7. */
const SCREENS = ['library', 'datasets', 'train', 'runs', 'playground', 'export', 'reports'] as const;
export type Screen = (typeof SCREENS)[number];

export type MenuActions = { newWindow(): void; go(screen: Screen): void };

export function menuTemplate(labels: Labels, { newWindow, go }: MenuActions, { mac, devTools }: { mac: boolean; devTools: boolean }): Item[] {
  const separator: Item = { type: 'separator' };
  const appMenu: Item = {
    label: 'Attune',
    submenu: [
      { role: 'about', label: labels.about },
      separator,
      { role: 'services', label: labels.services },
      separator,
      { role: 'hide', label: labels.hide },
      { role: 'hideOthers', label: labels.hideOthers },
      { role: 'unhide', label: labels.showAll },
      separator,
      { role: 'quit', label: labels.quit },
    ],
  };
  const file: Item[] = [
    { label: labels.newWindow, accelerator: 'CmdOrCtrl+Shift+N', click: newWindow },
    { role: 'close', label: labels.closeWindow },
    ...(mac ? [] : [separator, { role: 'quit', label: labels.quit, accelerator: 'Ctrl+Q' } satisfies Item]),
  ];
  return [
    ...(mac ? [appMenu] : []),
    { label: labels.file, submenu: file },
    {
      label: labels.edit,
      submenu: [
        { role: 'undo', label: labels.undo },
        { role: 'redo', label: labels.redo },
        separator,
        { role: 'cut', label: labels.cut },
        { role: 'copy', label: labels.copy },
        { role: 'paste', label: labels.paste },
        { role: 'selectAll', label: labels.selectAll },
      ],
    },
    { label: labels.go, submenu: SCREENS.map((screen, i) => ({ label: labels[screen], accelerator: `CmdOrCtrl+${i + 1}`, click: () => go(screen) })) },
    {
      label: labels.view,
      submenu: [
        { role: 'reload', label: labels.reload },
        separator,
        { role: 'resetZoom', label: labels.actualSize },
        { role: 'zoomIn', label: labels.zoomIn },
        { role: 'zoomOut', label: labels.zoomOut },
        separator,
        { role: 'togglefullscreen', label: labels.fullScreen },
        ...(devTools ? [{ role: 'toggleDevTools', label: labels.devTools } satisfies Item] : []),
      ],
    },
    {
      role: 'windowMenu',
      label: labels.window,
      submenu: [
        { role: 'minimize', label: labels.minimize },
        ...(mac ? [{ role: 'zoom', label: labels.zoom } satisfies Item, separator, { role: 'front', label: labels.front } satisfies Item] : []),
      ],
    },
  ];
}

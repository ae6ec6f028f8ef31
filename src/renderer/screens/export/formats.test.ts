import { expect, test } from 'vitest';
import { estimatedBytes, readChoice } from './formats.ts';

test('sizes are parameters times bytes; q8_0 has 34 bytes a block of 32', () => {
  const model = { parameters: 3200, adapterParameters: 100 };
  expect(estimatedBytes(model, 'safetensors', 'f32')).toBe(12800);
  expect(estimatedBytes(model, 'gguf', 'f16')).toBe(6400);
  expect(estimatedBytes(model, 'gguf', 'q8_0')).toBe(3400);
  expect(estimatedBytes(model, 'peft', 'bf16')).toBe(400);
  expect(estimatedBytes({ parameters: null, adapterParameters: null }, 'gguf', 'f16')).toBe(null);
});

test('what cannot be exported so falls back on the usual', () => {
  const full = { form: 'full' as const };
  expect(readChoice(new URLSearchParams('format=peft'), full)).toEqual({ format: 'safetensors', dtype: 'bf16' });
  expect(readChoice(new URLSearchParams('format=safetensors&type=q8_0'), full)).toEqual({ format: 'safetensors', dtype: 'bf16' });
  expect(readChoice(new URLSearchParams('format=gguf&type=q8_0'), full)).toEqual({ format: 'gguf', dtype: 'q8_0' });
  expect(readChoice(new URLSearchParams('format=peft'), { form: 'adapter' })).toEqual({ format: 'peft', dtype: 'f32' });
});

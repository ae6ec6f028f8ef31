import { expect, test } from 'vitest';
import { Optimizer } from '../../shared/recipe.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { createAdamW } from './adamw.ts';
import { clipScale } from './clip.ts';
import { learningRateAt } from './schedule.ts';

/** 20 steps, of which ceil(20 · 0.15) = 3 warm up, peak 1. */
const rates = (settings: Partial<Optimizer>) => {
  const optimizer = Optimizer.parse({ learningRate: 1, warmupRatio: 0.15, ...settings });
  return Array.from({ length: 20 }, (_, step) => Number(learningRateAt(step, 20, optimizer).toFixed(7)));
};

// Rates of transformers 5.18's get_*_schedule_with_warmup(optimizer, 3, 20) with a peak of 1, before each step.
test('linear follows transformers', () => {
  expect(rates({ lrSchedulerType: 'linear' })).toEqual([
    0, 0.3333333, 0.6666667, 1, 0.9411765, 0.8823529, 0.8235294, 0.7647059, 0.7058824, 0.6470588, 0.5882353, 0.5294118, 0.4705882, 0.4117647,
    0.3529412, 0.2941176, 0.2352941, 0.1764706, 0.1176471, 0.0588235,
  ]);
});

test('cosine follows transformers, with and without a least rate', () => {
  expect(rates({ lrSchedulerType: 'cosine' })).toEqual([
    0, 0.3333333, 0.6666667, 1, 0.9914865, 0.9662361, 0.9251086, 0.8695045, 0.8013173, 0.7228692, 0.6368315, 0.5461342, 0.4538658, 0.3631685,
    0.2771308, 0.1986827, 0.1304955, 0.0748914, 0.0337639, 0.0085135,
  ]);
  expect(rates({ lrSchedulerType: 'cosine', minLrRatio: 0.1 })).toEqual([
    0, 0.3333333, 0.6666667, 1, 0.9923379, 0.9696125, 0.9325977, 0.882554, 0.8211856, 0.7505823, 0.6731483, 0.5915208, 0.5084792, 0.4268517,
    0.3494177, 0.2788144, 0.217446, 0.1674023, 0.1303875, 0.1076621,
  ]);
});

test('constant and wsd follow transformers; wsd decays over the last fifth', () => {
  expect(rates({ lrSchedulerType: 'constant' })).toEqual([0, 0.3333333, 0.6666667, ...new Array<number>(17).fill(1)]);
  expect(rates({ lrSchedulerType: 'wsd', minLrRatio: 0.1 })).toEqual([0.1, 0.4, 0.7, ...new Array<number>(14).fill(1), 0.8681981, 0.55, 0.2318019]);
});

test('without warm-up the first step has the full rate', () => {
  expect(rates({ lrSchedulerType: 'linear', warmupRatio: 0 })[0]).toBe(1);
});

const parameters = (device: ReturnType<typeof createReferenceDevice>) => [[3, 0], [0, 4, 12]].map((values, i) => {
  const [tensor, grad] = [device.alloc(values.length), device.alloc(values.length)];
  device.write(tensor, Float32Array.from(values, () => 1));
  device.write(grad, Float32Array.from(values));
  return { name: `p${i}`, shape: [values.length], tensor, grad, decay: i === 0 };
});

test('the norm is over all parameters together, and the clip as torch has it', async () => {
  const device = createReferenceDevice();
  expect(await createAdamW(device, parameters(device), Optimizer.parse({})).gradNorm()).toBeCloseTo(13, 6); // √(9 + 16 + 144)
  expect(clipScale(13, 1)).toBeCloseTo(1 / (13 + 1e-6), 12);
  expect(clipScale(0.5, 1)).toBe(1);
  expect(clipScale(1e9, 0)).toBe(1);
});

test('AdamW decays only what asks for it, counts its steps and scales gradients', async () => {
  const device = createReferenceDevice();
  const [first, second] = parameters(device) as [ReturnType<typeof parameters>[0], ReturnType<typeof parameters>[0]];
  const adamw = createAdamW(device, [first, second], Optimizer.parse({ weightDecay: 0.5 }));
  adamw.step(0.1, 0.5);
  // At step 1, m̂ / √v̂ is the gradient's sign, so an element with a gradient moves by lr; decay takes lr · 0.5 of the weight.
  const values = async (tensor: typeof first.tensor) => Array.from((await device.read(tensor)) as Float32Array, (x) => Number(x.toFixed(5)));
  expect(await values(first.tensor)).toEqual([0.85, 0.95]);
  expect(await values(second.tensor)).toEqual([1, 0.9, 0.9]);
  expect(adamw.steps).toBe(1);
  expect(adamw.moments.map(({ name }) => name)).toEqual(['p0', 'p1']);
  expect(await values(adamw.moments[0]!.m)).toEqual([0.15, 0]); // (1 − 0.9) · 3 · 0.5
});

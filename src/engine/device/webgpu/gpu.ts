/**
 * One adapter through Dawn (the npm package `webgpu`): kernels become pipelines, calls of kernels are gathered and submitted together, and what goes
 * wrong on the GPU, which it tells later, becomes the sentence that the next call throws. Knows nothing of tensors' storages or of what kernels compute.
 *
 * Every buffer is bound as writable storage, since parts of one pool are read and written by the same kernel, which WebGPU allows of no other kind.
 * Two arguments that are the same memory are bound once, and the kernel's text names one of them for both.
 */
import { type Abilities, abilitiesOf, describeAbilities, featuresOf } from './abilities.ts';
import type { Kernel } from './kernel.ts';
import { wgsl } from './kernel.ts';

/** Part of a GPU buffer: bytes [offset, offset + size), offset a multiple of 256. */
export type Part = { buffer: GPUBuffer; id: number; offset: number; size: number };

export type Gpu = Awaited<ReturnType<typeof openGpu>>;

/** Kernel calls of one submission at most: some layers' worth. */
const BATCH = 256;
/** Bytes of a call's parameters: what a dynamic offset of a uniform buffer must be a multiple of. */
const SLOT = 256;
/** Bind groups kept; a step asks for the same few thousand over and over. */
const BIND_GROUPS = 16_384;
/** Buffers of answers kept for the next one, up to this size, bytes: scalars are read every step, weights only now and then. */
const KEPT_ANSWER = 2 ** 22;
/** Bytes of writes after which what was staged for them is let go. */
const STAGED = 2 ** 28;

const BACKENDS: Partial<Record<NodeJS.Platform, { option: string; name: string; needs: string }>> = {
  linux: { option: 'vulkan', name: 'Vulkan', needs: 'the graphics card\'s Vulkan 1.1 driver and the library libvulkan.so.1 (in Debian and Ubuntu: libvulkan1, and mesa-vulkan-drivers or NVIDIA\'s own driver)' },
  darwin: { option: 'metal', name: 'Metal', needs: 'a Mac with Metal' },
  win32: { option: 'd3d12', name: 'Direct3D 12', needs: 'a graphics card with a Direct3D 12 driver' },
};

/** Whether the system finds a library: Dawn would only warn on the console. */
function hasLibrary(name: string): boolean {
  try {
    process.dlopen({ exports: {} }, name);
  } catch (error) {
    return !(error as Error).message.includes('cannot open'); // it is no addon of Node's, which is all that Node minds
  }
  return true;
}

/** What the device asks of the adapter where it has more than WebGPU promises everywhere. */
const LIMITS = ['maxBufferSize', 'maxStorageBufferBindingSize'] as const;

/** For tests: `half`: f16 played by rounding where the adapter has none; `subgroups`: false takes none. */
export type Trial = { half?: 'rounded'; subgroups?: false };

export async function openGpu(name: 'webgpu' | 'webgpu-f16', trial: Trial) {
  const backend = BACKENDS[process.platform];
  if (!backend) throw new Error(`webgpu: Dawn is not made for ${process.platform}`);
  if (process.platform === 'linux' && !hasLibrary('libvulkan.so.1')) throw new Error(`webgpu: the library libvulkan.so.1 is not here; WebGPU needs ${backend.needs}`);
  const { create } = await import('webgpu').catch((error: Error) => {
    throw new Error(`webgpu: the package webgpu could not be loaded (${error.message.split('\n')[0]}); run npm run setup`, { cause: error });
  });
  // subgroup matrices are an experiment of Dawn's, which it lists only so
  const instance = create([`backend=${backend.option}`, ...(name === 'webgpu-f16' ? ['enable-dawn-features=allow_unsafe_apis'] : [])]);
  const adapter = await instance.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error(`webgpu: Dawn finds no graphics card by ${backend.name}; WebGPU needs ${backend.needs}`);
  const half = name === 'webgpu' ? null : (trial.half ?? 'f16');
  if (half === 'f16' && !adapter.features.has('shader-f16')) throw new Error(`webgpu-f16: ${cardOf(adapter)} has no numbers of 16 bits; it needs a graphics card and driver with WebGPU's shader-f16. The device webgpu computes in f32 here`);
  const had = abilitiesOf(adapter, instance.wgslLanguageFeatures, half);
  const abilities: Abilities = { ...had, subgroups: trial.subgroups ?? had.subgroups };
  const device = await adapter.requestDevice({ requiredFeatures: featuresOf(abilities), requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])) });
  const { maxBufferSize, maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = device.limits;

  /** The first thing that went wrong: later ones follow from it. */
  let failure: Error | null = null;
  const fail = (sentence: string): void => {
    failure ??= new Error(`webgpu: ${sentence}`);
  };
  void device.lost.then(({ message }) => fail(`the graphics card was lost (${message.split('\n')[0]}); a run goes on from its last checkpoint`));
  device.addEventListener('uncapturederror', ({ error }) => fail(`the graphics card refused a call: ${error.message.split('\n')[0]}`));
  /** Answers of error scopes that are still to come. */
  const scopes = new Set<Promise<void>>();

  let ids = 0;
  function createBuffer(size: number, usage: number, onOutOfMemory: string): Part {
    check();
    device.pushErrorScope('out-of-memory');
    const buffer = device.createBuffer({ size, usage });
    const scope: Promise<void> = device.popErrorScope().then((error) => {
      scopes.delete(scope);
      if (error) fail(onOutOfMemory);
    }, () => void scopes.delete(scope)); // a device that was lost says so itself
    scopes.add(scope);
    return { buffer, id: ids++, offset: 0, size };
  }

  function check(): void {
    if (failure) throw failure;
  }

  // ── calls of kernels ────────────────────────────────────────────────────────────────────────────────────────────────
  const uniforms = device.createBuffer({ size: BATCH * SLOT, usage: GPU_BUFFER.UNIFORM | GPU_BUFFER.COPY_DST });
  const parameters = new ArrayBuffer(BATCH * SLOT);
  const [reals, integers] = [new Float32Array(parameters), new Int32Array(parameters)];
  const layouts = new Map<number, GPUBindGroupLayout>();
  const pipelines = new Map<string, GPUComputePipeline>();
  const bindGroups = new Map<string, GPUBindGroup>();
  let encoder: GPUCommandEncoder | null = null;
  let pass: GPUComputePassEncoder | null = null;
  let calls = 0;
  let doomed: GPUBuffer[] = [];

  function layoutOf(storages: number): GPUBindGroupLayout {
    let layout = layouts.get(storages);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = [{ binding: 0, visibility: GPU_COMPUTE, buffer: { type: 'uniform', hasDynamicOffset: true } }];
      for (let i = 1; i <= storages; i++) entries.push({ binding: i, visibility: GPU_COMPUTE, buffer: { type: 'storage' } });
      layout = device.createBindGroupLayout({ entries });
      layouts.set(storages, layout);
    }
    return layout;
  }

  /** `aliases`: of each argument the one whose binding it shares, mostly itself. */
  function pipelineOf(kernel: Kernel, aliases: Record<string, string>, storages: number): GPUComputePipeline {
    const shared = Object.entries(aliases).filter(([name, as]) => name !== as);
    const key = shared.length === 0 ? kernel.name : `${kernel.name} ${shared.map((pair) => pair.join('=')).join()}`;
    let pipeline = pipelines.get(key);
    if (!pipeline) {
      pipeline = device.createComputePipeline({
        label: key,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layoutOf(storages)] }),
        compute: { module: device.createShaderModule({ label: key, code: wgsl(kernel, aliases, abilities.subgroups) }), entryPoint: 'main' },
      });
      pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  function bindGroupOf(parts: Part[]): GPUBindGroup {
    const key = parts.map(({ id, offset, size }) => `${id}.${offset}.${size}`).join();
    let group = bindGroups.get(key);
    if (!group) {
      if (bindGroups.size >= BIND_GROUPS) bindGroups.clear();
      group = device.createBindGroup({
        layout: layoutOf(parts.length),
        entries: [
          { binding: 0, resource: { buffer: uniforms, size: SLOT } },
          ...parts.map(({ buffer, offset, size }, i) => ({ binding: i + 1, resource: { buffer, offset, size } })),
        ],
      });
      bindGroups.set(key, group);
    }
    return group;
  }

  /** Calls a kernel with one workgroup a block; buffers and numbers by the names it gives them. */
  function run(kernel: Kernel, buffers: Record<string, Part>, numbers: Record<string, number>, blocks: number): void {
    check();
    if (blocks <= 0) return;
    const names = Object.keys(kernel.buffers);
    const aliases: Record<string, string> = {};
    const parts: Part[] = [];
    const bound: string[] = [];
    for (const name of names) {
      const part = buffers[name];
      const same = parts.findIndex(({ id, offset }) => id === part.id && offset === part.offset);
      aliases[name] = same < 0 ? name : bound[same];
      if (same < 0) {
        if (part.size > maxStorageBufferBindingSize) {
          throw new Error(`webgpu: ${kernel.name}: ${name} has ${part.size} bytes, and this graphics card lets a kernel see ${maxStorageBufferBindingSize} of a tensor at once; a smaller model or batch fits`);
        }
        parts.push(part);
        bound.push(name);
      } else if (part.size > parts[same].size) parts[same] = part;
    }
    // a dimension of the grid has an end; rows of workgroups go on where the first one stops
    const across = Math.min(blocks, maxComputeWorkgroupsPerDimension);
    const down = Math.ceil(blocks / across);
    if (down > maxComputeWorkgroupsPerDimension) throw new Error(`webgpu: ${kernel.name}: ${blocks} workgroups are more than the ${maxComputeWorkgroupsPerDimension ** 2} that this graphics card starts at once; a smaller batch fits`);
    let at = (calls * SLOT) / 4;
    integers[at++] = blocks;
    integers[at++] = across;
    for (const [name, type] of Object.entries(kernel.numbers)) {
      if (type === 'f32') reals[at++] = numbers[name];
      else integers[at++] = numbers[name];
    }
    encoder ??= device.createCommandEncoder();
    pass ??= encoder.beginComputePass();
    pass.setPipeline(pipelineOf(kernel, aliases, parts.length));
    pass.setBindGroup(0, bindGroupOf(parts), [calls * SLOT]);
    pass.dispatchWorkgroups(across, down);
    if (++calls === BATCH) flush();
  }

  /** Submits what was called so far; what is destroyed only now was still in use by it. */
  function flush(): void {
    if (encoder) {
      pass?.end();
      device.queue.writeBuffer(uniforms, 0, parameters, 0, calls * SLOT);
      device.queue.submit([encoder.finish()]);
      [encoder, pass, calls] = [null, null, 0];
    }
    for (const buffer of doomed) buffer.destroy();
    doomed = [];
  }

  // ── in and out ──────────────────────────────────────────────────────────────────────────────────────────────────────
  let staged = 0;
  function write({ buffer, offset }: Part, at: number, bytes: Uint8Array): void {
    check();
    flush();
    device.queue.writeBuffer(buffer, offset + at, bytes as Uint8Array<ArrayBuffer>);
    staged += bytes.length;
    if (staged < STAGED) return;
    device.queue.submit([]);
    staged = 0;
  }

  const answers: Part[] = [];
  /** Bytes [at, at + size) as they are after everything called so far; multiples of 4. */
  async function read({ buffer, offset }: Part, at: number, size: number): Promise<ArrayBuffer> {
    check();
    const free = answers.findIndex((answer) => answer.size >= size);
    const answer = free < 0
      ? createBuffer(Math.max(SLOT, size), GPU_BUFFER.MAP_READ | GPU_BUFFER.COPY_DST, `out of memory, ${size} bytes asked for to read a tensor`)
      : answers.splice(free, 1)[0];
    encoder ??= device.createCommandEncoder();
    pass?.end();
    pass = null;
    encoder.copyBufferToBuffer(buffer, offset + at, answer.buffer, 0, size);
    flush();
    try {
      await answer.buffer.mapAsync(GPU_MAP_READ, 0, size);
    } catch (error) {
      fail(`a tensor could not be read: ${(error as Error).message.split('\n')[0]}`);
    }
    await Promise.all(scopes);
    check();
    const values = answer.buffer.getMappedRange(0, size).slice(0);
    answer.buffer.unmap();
    if (answer.size <= KEPT_ANSWER) answers.push(answer);
    else answer.buffer.destroy();
    return values;
  }

  return {
    info: describe(adapter, backend.name, abilities),
    abilities,
    maxBufferSize,
    createBuffer: (size: number, onOutOfMemory: string): Part => createBuffer(size, GPU_BUFFER.STORAGE | GPU_BUFFER.COPY_SRC | GPU_BUFFER.COPY_DST, onOutOfMemory),
    /** Calls made so far may still use it. */
    destroyBuffer({ buffer }: Part): void {
      doomed.push(buffer);
      if (!encoder) flush();
    },
    run,
    write,
    read,
    /** Dawn ends with its instance, which must be held as long as the device. */
    instance,
  };
}

// the values of WebGPU's own flags, which a browser has as globals
const GPU_BUFFER = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80 };
const GPU_MAP_READ = 0x1;
const GPU_COMPUTE = 0x4;

const cardOf = ({ info }: GPUAdapter): string => (info.device || `${info.vendor} ${info.architecture}`).replaceAll('-', ' ').trim(); // Dawn puts hyphens into names

/** Adapter and driver, backend, what it lets kernels have, and what they use of it: one line for people. WebGPU tells no adapter's memory. */
function describe(adapter: GPUAdapter, backend: string, abilities: Abilities): string {
  const { info, limits } = adapter;
  const name = info.description ? `${cardOf(adapter)} (${info.description})` : cardOf(adapter);
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return [
    `${name}, ${backend}${info.isFallbackAdapter ? ', software on the CPU and no graphics card' : ''}`,
    `buffers to ${gib(limits.maxBufferSize)}, bindings to ${gib(limits.maxStorageBufferBindingSize)}`, ...describeAbilities(abilities, info),
  ].join(', ');
}

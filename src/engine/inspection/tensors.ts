/**
 * A model's tensors under their Hugging Face names, one read at a time, out before in: what statistics and comparisons go over. As the model
 * answers, so an adapter can be folded into its base while it is read; nothing is kept of what was read.
 */
import type { ModelPath } from '../../shared/job.ts';
import type { Device } from '../device/device.ts';
import { type ModelFolder, openModelFolder } from '../formats/model-folder.ts';
import { type ReadAdapter, readAdapter } from '../formats/peft.ts';
import { type ModelConfig, parseModelConfig } from '../model/config.ts';
import { unfused } from '../model/fused-experts.ts';
import { checkAdapter, checkSaved, mergedWeight } from '../model/lora.ts';
import { buildWeights, checkTensors, decoderLinears, type Linear, type Parameter, readStored, SCORE, storedName } from '../model/parameters.ts';
import { type Outlined, outlineParts } from '../model/parts.ts';

export type OpenedTensors = {
  folder: ModelFolder;
  config: ModelConfig;
  adapter: ReadAdapter | null;
  /** Of the base, in the order of the model. */
  outlined: Outlined[];
  /** The type a tensor of the base is stored in. */
  dtypeOf(tensor: Outlined): string;
  /** The base's values. */
  read(tensor: Outlined): Promise<Float32Array>;
  /** With the adapter folded in, f32, as it is for sampling. */
  readMerged(tensor: Outlined, device: Device): Promise<Float32Array>;
  close(): Promise<void>;
};

/** Refuses what the loader would refuse: an adapter of another base, tensors that do not fit the config. */
export async function openTensors(path: ModelPath): Promise<OpenedTensors> {
  const opened = await openModelFolder(path.folder);
  try {
    const config = parseModelConfig(opened.config, `${path.folder}/config.json`);
    const folder = unfused(config, opened);
    checkTensors(config, folder);
    const adapter = path.adapter === undefined ? null : await readAdapter(path.adapter);
    const linears = linearsOf(config);
    const outlined = outlineParts(config);
    if (adapter) {
      checkAdapter([...linears.values()], adapter);
      checkSaved(outlined, config, adapter);
    }
    const read = ({ name, shape }: Outlined) => readStored(config, folder, name, shape);
    return {
      folder, config, adapter, outlined, read,
      dtypeOf: ({ name }) => folder.tensors.get(storedName(config, folder, name))!.dtype,
      async readMerged(tensor, device) {
        const linear = linears.get(tensor.name);
        const update = linear && adapter?.tensors.get(linear.name);
        if (tensor.name === SCORE && adapter?.score) return adapter.score.values;
        const values = adapter?.saved.get(tensor.name)?.values ?? (await read(tensor));
        return update ? mergedWeight(device, linear, values, update) : values;
      },
      close: () => folder.close(),
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** By the name of their weight. */
function linearsOf(config: ModelConfig): Map<string, Linear> {
  const weights = buildWeights(config, (name, shape) => ({ name, shape }) as Parameter); // only names and shapes are asked for here
  return new Map(decoderLinears(weights).map((linear) => [linear.weight.name, linear]));
}

/** `attune devices`: what a model can compute on here, what the others would need, and on request whether it computes rightly and how fast. */
import { type Command, Option } from 'commander';
import { DeviceName } from '../../shared/devices.ts';
import { listDevices, testDevice } from '../devices.ts';
import { formatBytes, print, printJson, table } from '../terminal.ts';

export function addDevicesCommand(program: Command): void {
  program
    .command('devices')
    .description('what a model can compute on here, and what other devices would need')
    .addOption(new Option('--test <device>', 'hold its kernels to the reference and measure its speed, some seconds').choices(DeviceName.options))
    .option('--json', 'as JSON')
    .addHelpText('after', `
Nothing runs on another device than the one chosen: where it cannot run, the command fails and says what is missing.

Examples:
  attune devices
  attune devices --test tfjs-wasm
  attune train sft.yaml --device tfjs-node`)
    .action(async ({ test, json }: { test?: DeviceName; json?: boolean }) => {
      if (test) return tell(test, json === true);
      const devices = await listDevices();
      if (json) return printJson(devices);
      print(table([['device', 'memory', ''], ...devices.map(({ name, description, problem, memoryBytes }) => [name, memoryBytes === null ? '' : formatBytes(memoryBytes), description ?? `not here: ${problem}`])]));
    });
}

async function tell(name: DeviceName, json: boolean): Promise<void> {
  const found = await testDevice(name);
  if (json) printJson(found);
  else {
    const { worst, agrees, flopsPerSecond, bytesPerSecond } = found;
    print(`${name}: ${agrees ? 'agrees with the reference' : 'DOES NOT AGREE with the reference'}, largest error ${worst.error.toExponential(1)} (${worst.kernel})`);
    print(`products of 512 cubed ${(flopsPerSecond / 1e9).toFixed(1)} GFLOP/s, sums ${(bytesPerSecond / 1e9).toFixed(1)} GB/s`);
  }
  if (!found.agrees) process.exitCode = 1;
}

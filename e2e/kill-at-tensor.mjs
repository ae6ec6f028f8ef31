/**
 * Preloaded (NODE_OPTIONS=--import) into every process of a command by the tests of exports: its engine dies as soon as it would tell that
 * KILL_AT_TENSOR tensors are there, and with POWER_CUT set the command does too.
 */
const at = Number(process.env.KILL_AT_TENSOR);
const send = process.send;
if (send) {
  process.send = (event, ...rest) => {
    if (event.type === 'count' && event.done === at) {
      if (process.env.POWER_CUT) process.kill(process.ppid, 'SIGKILL');
      process.kill(process.pid, 'SIGKILL');
    }
    return send.call(process, event, ...rest);
  };
}

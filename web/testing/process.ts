import type { ChildProcess } from 'node:child_process';

const patience = 60_000;

/** Waits until a process has printed something that matches. */
export function awaitOutput(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let text = '';
    const failed = (why: string) => reject(new Error(`${why}, want ${pattern} in:\n${text}`));
    const timer = setTimeout(() => failed('time is up'), patience);
    const read = (chunk: Buffer) => {
      text += chunk;
      const found = pattern.exec(text);
      if (!found) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.on('exit', (code) => {
      clearTimeout(timer);
      failed(`it ended with ${code}`);
    });
  });
}

/** Asks a process to end, or kills it, and waits until it has. */
export function stopProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

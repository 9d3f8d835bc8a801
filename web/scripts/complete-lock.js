// Adds to package-lock.json the optional packages that npm left out because the
// registry at hand has them only for some platforms. Without them npm ci calls
// the lock incomplete. Run it after npm install: npm run lock.
import { readFileSync, writeFileSync } from 'node:fs';

const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32'];
const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));

for (const { optionalDependencies = {}, dev, engines } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const place = `node_modules/${name}`;
    if (lock.packages[place]) continue;
    const words = name.split('/').pop().split('-');
    const os = words.filter((w) => systems.includes(w));
    const cpu = words.filter((w) => processors.includes(w));
    // What names no platform is for every one, and has to be there.
    if (!os.length && !cpu.length) throw new Error(`${name} is missing, and not for a platform's sake`);
    lock.packages[place] = {
      version,
      cpu: cpu.length ? cpu : undefined,
      dev,
      optional: true,
      os: os.length ? os : undefined,
      libc: words.includes('musl') ? ['musl'] : undefined,
      engines,
    };
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);

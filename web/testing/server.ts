import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import pg from 'pg';
import { inject } from 'vitest';
import { awaitOutput, stopProcess } from './process.js';

/** A token that the server accepts, for so many seconds. */
export function mint(sub: string, roles: string[] = [], seconds = 3600): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, roles, iat, exp: iat + seconds })}`;
  return `${body}.${createHmac('sha256', inject('secret')).update(body).digest('base64url')}`;
}

let people = 0;

/** A marketplace that belongs to one test: two clients and a provider of its own. */
export interface Market {
  client: string;
  other: string;
  provider: string;
  sql: (text: string, values?: unknown[]) => Promise<pg.QueryResult>;
  /** Books the provider, and returns the id. */
  book: (price?: number) => Promise<number>;
  close: () => Promise<void>;
}

export async function market(): Promise<Market> {
  const db = new pg.Pool({ connectionString: inject('database'), max: 4 });
  const tag = `${process.pid}-${Date.now().toString(36)}-${++people}`;
  const client = `client-${tag}`;
  const other = `other-${tag}`;
  const provider = `provider-${tag}`;
  const sql = (text: string, values?: unknown[]) => db.query(text, values);
  await sql(
    `INSERT INTO people (id, name, role) VALUES ($1, 'C', 'CLIENT'), ($2, 'O', 'CLIENT'), ($3, 'P', 'PROVIDER')`,
    [client, other, provider],
  );
  return {
    client,
    other,
    provider,
    sql,
    async book(price = 10) {
      const { rows } = await sql(
        `INSERT INTO bookings (client_id, provider_id, service, price, starts_at)
         VALUES ($1, $2, 'Piano lesson', $3, '2030-01-01') RETURNING id`,
        [client, provider, price],
      );
      return Number(rows[0].id);
    },
    close: () => db.end(),
  };
}

/** A database of one's own, made by some SQL, with pgbell and its triggers. */
export interface OwnDatabase {
  url: string;
  sql: (text: string, values?: unknown[]) => Promise<pg.QueryResult>;
  /** Runs a command of pgbell there. */
  pgbell: (...args: string[]) => Promise<void>;
  close: () => Promise<void>;
}

export async function ownDatabase(schema: string): Promise<OwnDatabase> {
  const name = `own_${process.pid}_${++people}`;
  const shared = new pg.Client(inject('database'));
  await shared.connect();
  await shared.query(`CREATE DATABASE ${name}`);
  const url = new URL(inject('database'));
  url.pathname = `/${name}`;
  const db = new pg.Client(url.href);
  await db.connect();
  const pgbell = async (...args: string[]) => {
    const env = { ...process.env, DATABASE_URL: url.href };
    await promisify(execFile)(inject('binary'), args, { cwd: '/', env });
  };
  await db.query(schema);
  await pgbell('migrate', 'up');
  await pgbell('triggers', 'apply');
  return {
    url: url.href,
    sql: (text, values) => db.query(text, values),
    pgbell,
    async close() {
      await db.end();
      await shared.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await shared.end();
    },
  };
}

/** A second server of the same database, to be killed and started again at the same address. */
export class Node {
  #child: ChildProcess | undefined;
  #port = 0;
  readonly #command: readonly string[];

  readonly #env: Record<string, string>;

  /** `demo` has the marketplace's application, too. */
  constructor(command: 'serve' | 'demo' = 'serve', env: Record<string, string> = {}) {
    this.#env = env;
    this.#command =
      command === 'demo' ? ['demo', '--no-traffic', '--database-url', inject('database')] : [command];
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#child = spawn(
      inject('binary'),
      [...this.#command, '--listen', `127.0.0.1:${this.#port}`, '--log-format', 'text'],
      {
        cwd: '/',
        env: {
          ...process.env,
          PGBELL_JWT_SECRET: inject('secret'),
          DATABASE_URL: inject('database'),
          ...this.#env,
        },
      },
    );
    const said = await awaitOutput(this.#child, /http:\/\/[^\s"]+:(\d+)/);
    this.#port = Number(said[1]);
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    if (this.#child) await stopProcess(this.#child, signal);
  }
}

/** A TCP proxy that stands between a client and a server and misbehaves on demand. */
export class FaultyProxy {
  /** Requests that are refused by closing, by their first bytes. */
  refuse: RegExp | undefined;
  /** How late everything comes, in milliseconds, in the order in which it was sent. */
  delay = 0;
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those on whose way bytes were lost. */
  readonly #dead = new WeakSet<Socket>();
  #flowing = true;
  #port = 0;

  constructor(target: string) {
    const { hostname, port } = new URL(target);
    this.#server = createServer((from) => {
      this.connections++;
      const to = connect(Number(port), hostname);
      if (!this.#flowing) this.#dead.add(from);
      for (const [a, b] of [
        [from, to],
        [to, from],
      ] as const) {
        this.#sockets.add(a);
        a.on('data', (chunk: Buffer) => {
          if (a === from && this.refuse?.test(chunk.toString('latin1'))) return this.#end(from, to);
          if (!this.#flowing) this.#dead.add(from);
          if (this.#dead.has(from)) return;
          // Timers of one length fire in the order in which they were set.
          if (this.delay) setTimeout(() => b.writable && b.write(chunk), this.delay);
          else b.write(chunk);
        });
        a.on('error', () => {});
        a.on('close', () => {
          this.#sockets.delete(a);
          b.destroy();
        });
      }
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /**
   * Whether bytes pass. While false both sides wait, as on a network that is
   * gone without a word; the connections of that time never hear of each other again.
   */
  set flowing(flowing: boolean) {
    this.#flowing = flowing;
    if (!flowing) for (const socket of this.#sockets) this.#dead.add(socket);
  }

  listen(): Promise<this> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        this.#port = (this.#server.address() as { port: number }).port;
        resolve(this);
      });
    });
  }

  /** Cuts every connection, without a close frame. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    this.cut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #end(...sockets: Socket[]): void {
    for (const socket of sockets) socket.destroy();
  }
}

/** Waits until something holds, which is looked at whenever the store changes. */
export function until<S>(
  store: { getState(): S; subscribe(changed: () => void): () => void },
  holds: (state: S) => boolean,
  patience = 20_000,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const state = store.getState();
      if (!holds(state)) return false;
      clearTimeout(timer);
      stop();
      resolve(state);
      return true;
    };
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`it never held; in the end ${JSON.stringify(store.getState()).slice(0, 2000)}`));
    }, patience);
    const stop = store.subscribe(() => look());
    queueMicrotask(look);
  });
}

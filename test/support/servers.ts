import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './runs.js';

/** Whether a server's program is installed; the reason goes into the name of what is skipped. */
export const hasProgram = (program: string): boolean => spawnSync(program, ['-h']).error === undefined;

/** A port of the loopback interface that nobody uses at this moment. */
export const freePort = async (): Promise<number> => {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });

export interface Server {
  readonly port: number;
  start(): Promise<void>;
  /** Kills it; its port stays its own, as far as anybody can say that. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

const server = async (
  program: string,
  args: (port: number, folder: string) => Promise<string[]>,
): Promise<Server> => {
  const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'mesocast-server-'))];
  let stopping: (() => Promise<void>) | undefined;
  const stop = async (): Promise<void> => {
    await stopping?.();
    stopping = undefined;
  };
  return {
    port,
    start: async () => {
      const child = spawn(program, await args(port, folder), { stdio: 'ignore' });
      const exited = new Promise((resolve) => child.once('close', resolve));
      stopping = async () => {
        child.kill('SIGKILL');
        await exited;
      };
      await until(`${program} on port ${port}`, () => answers(port));
    },
    stop,
    remove: async () => {
      await stop();
      await rm(folder, { recursive: true });
    },
  };
};

/** mosquitto on a random port of its own. */
export const mosquitto = (): Promise<Server> =>
  server('mosquitto', async (port, folder) => {
    const config = join(folder, 'mosquitto.conf');
    await writeFile(
      config,
      `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n`,
    );
    return ['-c', config];
  });

/** nats-server with JetStream on a random port of its own. */
export const natsServer = (): Promise<Server> =>
  server('nats-server', async (port, folder) => ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', folder]);

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An HTTP server that remembers what it got; `answer` says what it answers with. */
export const httpServer = async (
  answer: () => { status: number; headers?: Record<string, string> } = () => ({ status: 204 }),
) => {
  const received: Received[] = [];
  const http = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { status, headers } = answer();
      if (status < 300) received.push({ headers: request.headers, body });
      response.writeHead(status, headers).end();
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  return {
    received,
    url: `http://127.0.0.1:${port}/hook`,
    close: () =>
      new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
};

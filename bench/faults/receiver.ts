import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Message } from './accounts.js';

/** What an HTTP receiver does with a delivery: takes it, refuses it for now, or takes it and is gone before it answers. */
export type Mood = 'takes' | 'refuses' | 'hangs up';

/** A receiver of the sink `webhook` on a port of its own, open until it is closed. */
export const openReceiver = async (mood: () => Mood = () => 'takes', port = 0) => {
  const messages: Message[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const now = mood();
      if (now === 'refuses') {
        response.writeHead(503).end();
        return;
      }
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Message['body'];
      messages.push({ key: String(request.headers['idempotency-key']), body });
      if (now === 'hangs up') request.socket.destroy();
      else response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  return {
    messages,
    port: address.port,
    url: `http://127.0.0.1:${address.port}/hook`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

// Shows a key for those who cannot: every request goes on to kernos as it came, with the key added.
//
// It prints its own port, reads the URL of kernos from standard input, and ends with it: kernos has to know the port
// before it starts, as a part of the origins that it admits. Usage: proxy.mjs KEY

import { createServer, request } from 'node:http';
import { createInterface } from 'node:readline';

const [key] = process.argv.slice(2);
let kernos;

const proxy = createServer((asked, answer) => {
  const headers = { ...asked.headers, authorization: `Bearer ${key}` };
  // Without `setHost` the name that was asked for stays in Host: whether kernos admits it is one of the checks.
  const options = { method: asked.method, headers, setHost: false };
  const onward = request(new URL(asked.url, kernos), options, (answered) => {
    answer.writeHead(answered.statusCode, answered.headers);
    answered.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  // A caller that goes away cancels its call: kernos must see that too.
  answer.on('close', () => onward.destroy());
  asked.pipe(onward);
});

proxy.listen(0, '127.0.0.1', () => console.log(proxy.address().port));
createInterface({ input: process.stdin })
  .on('line', (url) => (kernos = url))
  .on('close', () => process.exit());

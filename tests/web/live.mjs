// A line that is cut: the page says so, and catches up by itself.

import { createConnection, createServer } from 'node:net'
import { once } from 'node:events'

import { BACK, GATEWAY, card, comeBack, goAway, insist, open, play, signIn, visit } from './stage.mjs'

// A line between the browser and the gateway that can be cut.
const line = async () => {
  const [host, port] = (process.env.ENDPOINT ?? `http://${GATEWAY}`).replace('http://', '').split(':')
  const ends = new Set()
  let whole = true
  const server = createServer((near) => {
    if (!whole) return near.destroy()
    const far = createConnection(Number(port), host)
    for (const [one, other] of [[near, far], [far, near]]) {
      ends.add(one)
      one.on('error', () => {})
      one.on('close', () => (ends.delete(one), other.destroy()))
      one.pipe(other)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    cut: () => ((whole = false), ends.forEach((end) => end.destroy())),
    mend: () => (whole = true),
    close: () => (server.close(), ends.forEach((end) => end.destroy())),
  }
}

await play(async () => {
  const wire = await line()
  const { page, close } = await open({ endpoint: wire.endpoint })
  await signIn(page)
  await card(page, 'Back door').getByText('Answers', { exact: true }).waitFor()
  wire.cut()
  await page.getByText(/^Not live since \d\d:\d\d\. Trying again\.$/).waitFor()
  await goAway(BACK)
  wire.mend()
  await page.getByText('Live', { exact: true }).waitFor()
  await card(page, 'Back door').getByText('Does not answer').waitFor()
  await comeBack(BACK)
  await card(page, 'Back door').getByText('Answers', { exact: true }).waitFor()

  // The trail is loaded once, and again after the line was cut; what happens in between is heard.
  const loads = []
  page.on('request', (request) => request.url().includes('/events/list') && loads.push(request.url()))
  await visit(page, '#/events')
  const away = page.locator('ol.trail li', { hasText: 'Back door: Does not answer' })
  await away.first().waitFor()
  insist((await away.count()) === 1 && loads.length === 1, 'it was loaded more than once', loads)
  await goAway(BACK)
  await away.nth(1).waitFor()
  insist(loads.length === 1, 'it was not heard, but asked for', loads)
  wire.cut()
  await page.getByText(/^Not live since/).waitFor()
  await comeBack(BACK)
  await goAway(BACK)
  wire.mend()
  await away.nth(2).waitFor()
  insist((await away.count()) === 3, 'something is there twice', await away.count())
  await close()
  wire.close()
})

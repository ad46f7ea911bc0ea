// What the page weighs, that it asks nobody else, and that its policy stops what does not belong to it.

import { ENDPOINT, insist, open, play, signIn, until } from './stage.mjs'

const MOST = 60_000

await play(async () => {
  const { page, close } = await open()
  const asked = new Set()
  page.on('request', (request) => asked.add(request.url()))
  await page.reload()
  await signIn(page)
  const files = [...asked].filter((url) => !url.includes('/lockbridge/'))
  const sizes = await Promise.all(files.map(async (url) => (await (await fetch(url)).arrayBuffer()).byteLength))
  const bytes = sizes.reduce((sum, one) => sum + one, 0)
  insist(files.length >= 5 && bytes < MOST, 'the page is too heavy', [bytes, files])

  // It stays signed in over a new load, and is signed out for good.
  await page.reload()
  await page.getByText('Live', { exact: true }).waitFor()
  const cookies = await page.context().cookies()
  const session = cookies.find(({ name }) => name.startsWith('lockbridge_session_'))
  insist(session?.httpOnly && session.sameSite === 'Strict', 'scripts or other sites get at the session', cookies.length)

  // Somebody got a script, a picture and a form into the page.
  await page.evaluate(async () => {
    window.stopped = new Set()
    document.addEventListener('securitypolicyviolation', (event) => stopped.add(event.effectiveDirective))
    const add = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more))
    add('script', { textContent: 'window.broken = true' })
    add('img', { src: 'https://example.com/x.png' })
    add('style', { textContent: 'body { display: none }' })
    await fetch('https://example.com/').catch(() => {})
  })
  for (const directive of ['script-src-elem', 'img-src', 'style-src-elem', 'connect-src']) {
    await until(`the policy stops ${directive}`, () => page.evaluate((directive) => stopped.has(directive), directive))
  }
  insist(!(await page.evaluate(() => window.broken)), 'an inline script ran')

  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('You are signed out.').waitFor()
  const status = (await page.context().request.get(`${ENDPOINT}/lockbridge/v1/session`)).status()
  insist(status === 401, 'the session lives on', status)
  await close()
})

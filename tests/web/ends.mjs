// The end of a stay while a door does not answer: the group is not over before its lock says so.

import { BACK, FRONT, comeBack, goAway, http, insist, makeGroup, open, pins, play, shows, signIn, until, visit } from './stage.mjs'

await play(async () => {
  const { key, code } = await makeGroup('Grace', [FRONT, BACK])
  await until('both locks hold it', async () => [...(await pins(FRONT)), ...(await pins(BACK))].length === 2)
  await goAway(BACK)
  const { page, close } = await open()
  await signIn(page)
  await visit(page, `#/groups/${encodeURIComponent(key)}`)
  // A late check-out at one door alone.
  const { receipts } = await http('GET', `/lockbridge/v1/groups/${encodeURIComponent(key)}`)
  const { access_code_id } = receipts.at(-1)
  await http('POST', '/access_codes/update', { access_code_id, ends_at: '2030-05-03T11:00:00Z' })
  await page.getByText(/This door has times of its own: .* – Fri 3 May 2030, 13:00\./).waitFor()
  await page.getByRole('button', { name: 'End now' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End now' }).click()
  await shows(page, 'Back door', 'Being taken off')
  await until('the PIN is off the lock that answers', async () => (await pins(FRONT)).length === 0)
  // It opens what it should not: the gateway's word for it, and the page's.
  await http('POST', '/lockbridge/v1/sim/clock', { advance_s: 120 })
  await shows(page, 'Back door', 'Needs you: being taken off')
  await visit(page, '#/groups')
  await shows(page, 'Grace', 'Being taken off')
  await page.getByRole('link', { name: 'Grace' }).click()
  insist((await pins(BACK))[0] === code, 'the lock was reached all the same', 'another table')
  await comeBack(BACK)
  await page.getByText('No lock holds a code of this group any more.').first().waitFor()
  insist((await pins(BACK)).length === 0, 'the page says so, and the lock does not')
  await close([code])
})

// More groups than one answer of the gateway brings.

import { FRONT, http, inHours, insist, open, play, signIn, visit } from './stage.mjs'

const MANY = 101

await play(async () => {
  for (let day = 1; day <= MANY; day += 1) {
    const body = { name: `Stay ${day}`, device_ids: [FRONT], starts_at: inHours(24 * day), ends_at: inHours(24 * day + 1) }
    await http('POST', '/access_codes/create_multiple', body)
  }
  const { page, close } = await open()
  await signIn(page)
  await visit(page, '#/groups')
  const shown = page.locator('li.card')
  for (const count of [50, 100]) {
    await shown.nth(count - 1).waitFor()
    insist((await shown.count()) === count, `${count} groups`, await shown.count())
    await page.getByRole('button', { name: 'Show more' }).click()
  }
  await page.getByRole('heading', { name: `Stay ${MANY}` }).waitFor()
  insist((await shown.count()) === MANY, 'groups are there twice, or not at all', await shown.count())
  insist((await page.getByRole('button', { name: 'Show more' }).count()) === 0, 'there are more')
  await close()
})

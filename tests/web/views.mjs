// Everybody can use every view: axe finds nothing serious or critical, on a phone and on a desk, by day and by night.

import { look } from './look.mjs'
import { BACK, DESK, FRONT, PHONE, goAway, makeGroup, open, play, signIn, visit } from './stage.mjs'

await play(async () => {
  await goAway(BACK)
  const { key } = await makeGroup('Ada Lovelace', [FRONT, BACK])
  const group = `#/groups/${encodeURIComponent(key)}`
  for (const [form, viewport, colorScheme] of [['phone by day', PHONE, 'light'], ['desk by night', DESK, 'dark']]) {
    const { page, close } = await open({ viewport, colorScheme })
    await look(page, `${form}: sign in`)
    await signIn(page)
    const views = [
      ['#/doors', () => page.getByText('does not answer').first().waitFor()],
      [`#/doors/${BACK}`, () => page.getByText('1 access code', { exact: true }).waitFor()],
      ['#/groups', () => page.getByRole('link', { name: 'Ada Lovelace' }).waitFor()],
      [
        group,
        async () => {
          await page.getByRole('button', { name: 'Show PIN' }).click()
          await page.locator('output').waitFor()
          await page.getByText('Change the times').click()
        },
      ],
      [
        '#/groups?new',
        async () => {
          await page.getByRole('button', { name: 'Check' }).click()
          await page.getByRole('alert').waitFor()
          await page.getByRole('checkbox', { name: 'Front door' }).check()
          await page.getByRole('button', { name: 'Check' }).click()
          await page.getByRole('button', { name: 'Make this group' }).waitFor()
        },
      ],
      ['#/pair', () => page.getByText('uses no Bluetooth').waitFor()],
      ['#/events', () => page.getByText('Access code made').first().waitFor()],
    ]
    for (const [hash, isThere] of views) {
      await visit(page, hash)
      await isThere()
      await look(page, `${form}: ${hash}`)
    }
    await visit(page, group)
    await page.getByRole('button', { name: 'End now' }).click()
    await page.getByRole('dialog').waitFor()
    await look(page, `${form}: the question`)
    await close()
  }
})

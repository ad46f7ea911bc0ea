// Everybody can use every view: axe finds nothing serious or critical, on a phone and on a desk, by day and by night.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

import { BACK, DESK, FRONT, PHONE, goAway, insist, makeGroup, open, play, signIn, visit } from './stage.mjs'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// By the debugger's way in, which the page's policy does not close.
const look = async (page, where) => {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => axe.run(document))
  const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
  const told = grave.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])])
  insist(grave.length === 0, `${where}: not everybody can use it`, told)
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  insist(wide <= 0, `${where}: it must be scrolled sideways`, wide)
}

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
        '#/groups/new',
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

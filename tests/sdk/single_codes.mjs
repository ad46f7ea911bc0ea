// Access codes one by one: made, changed in every way, deleted.

import {
  BACK, CELLAR, FRONT, NOBODY, advance, client, insist, opens, pins, play, refused, same, time, words,
} from './stage.mjs'

const seam = client()
const codes = seam.accessCodes
const get = ({ access_code_id }) => codes.get({ access_code_id })
const update = async ({ access_code_id }, what) => {
  same(await codes.update({ access_code_id, ...what }), undefined, 'update')
  return get({ access_code_id })
}

const created = async () => {
  const code = await codes.create({ device_id: FRONT, name: 'Cleaner' })
  same([code.device_id, code.name, code.type], [FRONT, 'Cleaner', 'ongoing'], 'created')
  same([code.status, code.common_code_key], ['setting', null], 'at once, and linked with none')
  same(words(code.pending_mutations, 'mutation_code'), ['creating'], 'what it waits for')
  await advance(300)
  same(await pins(FRONT), [code.code], 'in the lock')
  const byPin = await codes.get({ device_id: FRONT, code: code.code })
  same([byPin.access_code_id, byPin.status], [code.access_code_id, 'set'], 'found by its PIN')

  const booked = await codes.create({
    device_id: BACK,
    code: '314159',
    name: 'Jane',
    starts_at: await time(3600),
    ends_at: await time(7200),
  })
  same([booked.code, booked.type, booked.status], ['314159', 'time_bound', 'unset'], 'booked')
  same(words(booked.pending_mutations, 'mutation_code'), ['deferring_creation'], 'parked until its time')
  const eight = await codes.create({ device_id: CELLAR, preferred_code_length: 4 })
  same(eight.code.length, 8, 'what suits')
  const { access_code_id, code: pin } = await codes.create({ device_id: FRONT, preferred_code_length: 6 })
  same(pin.length, 6, 'the preferred length')
  await codes.delete({ access_code_id })
  await advance(300)
  return code
}

// Codes made one by one under a key of the caller's are a group like any other.
const linked = async () => {
  const create = (device_id) =>
    codes.create({ device_id, common_code_key: 'family', name: 'Family' })
  const [one, two] = [await create(FRONT), await create(BACK)]
  same([one.code, one.common_code_key], [two.code, 'family'], 'the same key, the same PIN')
  const error = await refused(
    'a lock that cannot have this PIN',
    () => create(CELLAR),
    'cannot_share',
    400,
    'Cellar',
  )
  same(words(error.data.reasons, 'device_id'), [CELLAR], 'which lock objects')
  await codes.updateMultiple({ common_code_key: 'family', name: 'Family of Jane' })
  for (const code of [one, two]) same((await get(code)).name, 'Family of Jane', 'all are renamed')
  await advance(300)
  for (const door of [FRONT, BACK]) insist((await pins(door)).includes(one.code), 'in both locks')
  return [one, two]
}

const updated = async (one, two) => {
  // Its name.
  let code = await update(one, { name: 'Grandmother' })
  same([code.name, code.code, code.type], ['Grandmother', one.code, 'ongoing'], 'only its name')

  // Its PIN: the other members keep theirs, and the group stays one.
  code = await update(one, { code: '2468' })
  same([code.code, code.common_code_key], ['2468', 'family'], 'its own PIN within the group')
  insist(words(code.pending_mutations, 'mutation_code').includes('updating_code'), 'on its way', code)
  same((await get(two)).code, two.code, 'the other one keeps its PIN')
  await advance(300)
  const held = await pins(FRONT)
  insist(held.includes('2468') && !held.includes(one.code), 'one PIN for the other', held)
  insist((await pins(BACK)).includes(two.code), 'the other lock as before')
  same((await get(one)).status, 'set', 'proven')

  // Times for what had none.
  let [starts_at, ends_at] = [await time(3600), await time(7200)]
  code = await update(one, { starts_at, ends_at })
  same([code.type, code.starts_at, code.ends_at], ['time_bound', starts_at, ends_at], 'has times now')
  await advance(300)
  insist(!(await pins(FRONT)).includes('2468'), 'its time has not come: it is off the lock')
  same((await get(one)).status, 'unset', 'and says so')

  // One time alone. That the other one is null changes nothing.
  ends_at = await time(9000)
  code = await update(one, { starts_at: null, ends_at })
  same([code.starts_at, code.ends_at], [starts_at, ends_at], 'the end alone')
  starts_at = await time(600)
  code = await update(one, { starts_at })
  same([code.starts_at, code.ends_at], [starts_at, ends_at], 'the start alone')
  await advance(900)
  same(await opens(FRONT, '2468'), true, 'its time has come')
  const yesterday = await time(-86_400)
  await refused(
    'an end before the start',
    () => update(one, { ends_at: yesterday }),
    'invalid_input',
    400,
    'ends_at',
    'SeamHttpInvalidInputError',
  )

  // No times any more.
  code = await update(one, { type: 'ongoing' })
  same([code.type, code.starts_at, code.ends_at], ['ongoing', null, null], 'no times any more')
  await advance(86_400)
  same(await opens(FRONT, '2468'), true, 'it did not end')
  // And times again.
  code = await update(one, {
    type: 'time_bound',
    starts_at: await time(-60),
    ends_at: await time(600),
  })
  same([code.type, code.status], ['time_bound', 'set'], 'times again')
  const soon = await time(3600)
  await refused(
    'one time alone for what has none',
    () => update(two, { starts_at: soon }),
    'invalid_input',
    400,
    'ends_at',
    'SeamHttpInvalidInputError',
  )
  await advance(900)
  same(await opens(FRONT, '2468'), false, 'it is over')
  same((await get(one)).status, 'unset', 'and says so')
}

const deleted = async ({ access_code_id, code: pin }) => {
  same(await codes.delete({ access_code_id }), undefined, 'delete')
  const going = await get({ access_code_id })
  same(going.status, 'removing', 'until the lock confirms')
  same(words(going.pending_mutations, 'mutation_code'), ['deleting'], 'what it waits for')
  insist(words(going.warnings, 'warning_code').includes('being_deleted'), 'that it goes', going.warnings)
  await advance(300)
  insist(!(await pins(FRONT)).includes(pin), 'off the lock')
  for (const [what, call] of [
    ['get', () => get({ access_code_id })],
    ['update', () => update({ access_code_id }, { name: 'x' })],
    ["update of nobody's", () => update({ access_code_id: NOBODY }, { name: 'x' })],
  ])
    await refused(what, call, 'access_code_not_found', 404, 'no such access code')
}

await play(async () => {
  const code = await created()
  const [one, two] = await linked()
  await updated(one, two)
  await deleted(code)
})

// Everything that is read: the site, devices, groups of codes, events, page by page.

import {
  BACK, CELLAR, FRONT, SAFE, advance, client, http, insist, pins, play, same, time, words,
} from './stage.mjs'

const DEVICES = [FRONT, BACK, CELLAR, SAFE].sort()
const ids = (objects) => words(objects, 'device_id')
const codeIds = (objects) => words(objects, 'access_code_id')

const site = async (seam) => {
  same(await http('GET', '/health', null, null), { ok: true }, 'health, which needs no key')
  const workspace = await seam.workspaces.get()
  same(
    [workspace.is_suspended, workspace.is_publishable_key_auth_enabled],
    [false, false],
    'the site',
  )
  insist(workspace.name && workspace.workspace_id, 'name and id', workspace)
  const front = await seam.devices.get({ device_id: FRONT })
  same(front.workspace_id, workspace.workspace_id, 'one site for all')
}

const devices = async (seam) => {
  same(ids(await seam.devices.list()), DEVICES, 'all devices, by id')
  same(ids(await seam.locks.list()), DEVICES, 'all locks')
  const asked = await seam.devices.list({ device_ids: [SAFE, FRONT] })
  same(ids(asked), [SAFE, FRONT].sort(), 'those that were named')
  same(ids(await seam.devices.list({ search: 'cell' })), [CELLAR], 'searched for')
  for (const room of [seam.devices, seam.locks]) {
    const front = await room.get({ device_id: FRONT })
    same([front.device_id, front.display_name], [FRONT, 'Front door'], 'by id')
    same((await room.get({ name: 'Cellar' })).device_id, CELLAR, 'by name')
    same(front.is_managed, true, 'managed')
    same([front.errors, front.warnings], [[], []], 'nothing is wrong')
    for (const ability of ['access_code', 'lock'])
      insist(front.capabilities_supported.includes(ability), 'what it can do', front)
    same(front.properties.online, true, 'online')
    same(front.properties.supported_code_lengths, [4, 5, 6], 'lengths')
    same(front.properties.max_active_codes_supported, 30, 'places')
    insist(front.properties.model, 'a model', front.properties)
    for (const can of [
      'can_program_online_access_codes', 'can_remotely_lock', 'can_remotely_unlock',
      'can_simulate_disconnection', 'can_unlock_with_code',
    ])
      same(front[can], true, can)
    insist(!Number.isNaN(Date.parse(front.created_at)), 'a date', front.created_at)
  }
}

const notes = async (seam) => {
  const get = () => seam.devices.get({ device_id: FRONT })
  const named = await seam.devices.update({
    device_id: FRONT,
    name: 'Main entrance',
    custom_metadata: { floor: 'ground', wired: true },
  })
  same(named, undefined, 'devices.update')
  let front = await get()
  same(front.nickname, 'Main entrance', "the owner's name for it")
  same(front.custom_metadata, { floor: 'ground', wired: true }, 'notes')
  await seam.devices.update({ device_id: FRONT, custom_metadata: { wired: null } })
  front = await get()
  same(front.custom_metadata, { floor: 'ground' }, 'one taken away')
  same(front.nickname, 'Main entrance', 'the name stays')
  same((await seam.devices.get({ name: 'Main entrance' })).device_id, FRONT, 'found by its new name')
}

const lengths = async (seam) => {
  const codes = seam.accessCodes
  for (const [device, pattern] of [[FRONT, /^[0-9]{4,6}$/], [CELLAR, /^[0-9]{8}$/]]) {
    const drawn = await codes.generateCode({ device_id: device })
    same(drawn.device_id, device, 'generate_code')
    insist(pattern.test(drawn.code), `suits ${pattern}`, drawn.code)
    same(await codes.list({ device_id: device }), [], 'nothing is made by it')
  }
  // What a lock takes is narrowed by what its owner knows, either way of saying it.
  const known = async () =>
    (await seam.devices.get({ device_id: SAFE })).properties.supported_code_lengths
  const report = (told) => codes.reportDeviceConstraints({ device_id: SAFE, ...told })
  same(await report({ supported_code_lengths: [5, 6] }), undefined, 'report_device_constraints')
  same(await known(), [5, 6], 'reported')
  same((await codes.generateCode({ device_id: SAFE })).code.length, 5, 'and heeded')
  await report({ min_code_length: 6, max_code_length: 8 })
  same(await known(), [6], 'as a range')
}

// `create_multiple` in the ways that the documented examples leave out.
const groups = async (seam) => {
  const create = (told) => seam.accessCodes.createMultiple(told)
  const ongoing = await create({ device_ids: [FRONT, BACK], name: 'Cleaner' })
  for (const code of ongoing) {
    same([code.type, code.starts_at, code.ends_at], ['ongoing', null, null], 'without times')
    same(code.status, 'setting', 'at once')
  }
  same(ongoing[0].code.length, 4, 'the shortest length that all take')

  const own = await create({ device_ids: [FRONT, BACK], code: '271828', name: 'Owner' })
  for (const code of own) {
    same(code.code, '271828', "the caller's own PIN")
    same(code.common_code_key, null, 'does not link')
  }

  const apart = await create({
    device_ids: [FRONT, CELLAR, BACK],
    behavior_when_code_cannot_be_shared: 'create_random_code',
    preferred_code_length: 6,
  })
  same(apart.map((code) => code.code.length), [6, 8, 6], 'those that cannot share get their own')
  same(apart[0].code, apart[2].code, 'and the others share')
  same(new Set(words(apart, 'common_code_key')).size, 1, 'all are one group')
  await seam.accessCodes.updateMultiple({ common_code_key: apart[0].common_code_key, name: 'Apart' })

  await advance(600)
  const codes = [...ongoing, ...own, ...apart]
  const get = ({ access_code_id }) => seam.accessCodes.get({ access_code_id })
  for (const code of codes) {
    const found = await get(code)
    same([found.status, found.pending_mutations], ['set', []], 'in the lock')
    insist((await pins(code.device_id)).includes(code.code), 'in the lock')
  }
  same((await get(apart[1])).name, 'Apart', 'renamed')
  return codes
}

const all = async (paginator) => {
  const found = []
  for await (const one of paginator.flatten()) found.push(one)
  return found
}

const pages = async (seam, codes) => {
  const front = codeIds(codes.filter((code) => code.device_id === FRONT))
  const list = (told) => seam.accessCodes.list(told)
  same(codeIds(await list({ device_id: FRONT })), front, 'in their order')
  const two = codeIds(codes.slice(0, 2))
  same(codeIds(await list({ access_code_ids: two })).sort(), [...two].sort(), 'by their ids')
  same(words(await list({ device_id: FRONT, search: 'OWN' }), 'code'), ['271828'], 'searched for')

  const paginator = seam.createPaginator(list({ device_id: FRONT, limit: 2 }))
  let [page, pagination] = await paginator.firstPage()
  same(codeIds(page), front.slice(0, 2), 'the first page')
  same(pagination.hasNextPage, true, 'there is more')
  ;[page, pagination] = await paginator.nextPage(pagination.nextPageCursor)
  same(codeIds(page), front.slice(2), 'the next page')
  same([pagination.hasNextPage, pagination.nextPageCursor], [false, null], 'there is no more')
  same(codeIds(await paginator.flattenToArray()), front, 'all as a list')
  same(codeIds(await all(paginator)), front, 'all, one by one')
  let count = 0
  for await (const page of paginator) count += page.length
  same(count, front.length, 'all, page by page')

  same(ids(await all(seam.createPaginator(seam.devices.list({ limit: 3 })))), DEVICES, 'devices, in pages')
  same(ids(await all(seam.createPaginator(seam.devices.list({})))), DEVICES, 'devices, on one page')
}

const events = async (seam, since, [code]) => {
  const listed = await seam.events.list({ since, access_code_id: code.access_code_id })
  const types = words(listed, 'event_type')
  for (const kind of ['access_code.created', 'access_code.set_on_device'])
    same(types.filter((type) => type === kind).length, 1, `${kind} among ${types}`)
  same([...new Set(ids(listed))], [FRONT], 'of its device')
  for (const event of listed) {
    insist(event.event_id && event.workspace_id && event.connected_account_id, 'ids', event)
    insist(Date.parse(since) <= Date.parse(event.occurred_at), 'since then', event)
  }
  const event = await seam.events.get({ event_id: listed[0].event_id })
  same([event.event_id, event.event_type], [listed[0].event_id, types[0]], 'events.get')
  const ofTwo = await seam.events.list({
    since,
    event_types: ['access_code.created'],
    device_ids: [FRONT, BACK],
    limit: 3,
  })
  same(words(ofTwo, 'event_type'), Array(3).fill('access_code.created'), 'by type, so many')
  same(await seam.events.list({ between: ['2020-01-01T00:00:00Z', since] }), [], 'before it began')
}

await play(async () => {
  const seam = client()
  const since = await time(-60)
  await site(seam)
  await devices(seam)
  await lengths(seam)
  const codes = await groups(seam)
  await pages(seam, codes)
  await events(seam, since, codes)
  await notes(seam)
})

/** Keys, operators and the instance. Changes need the role Admin and a second sign-in. */
import { useSearch } from '@tanstack/react-router'
import { Tabs } from '../parts/controls.tsx'
import { Forbidden, Title } from '../parts/states.tsx'
import type { Search } from '../router.tsx'
import { useSession } from '../session.tsx'
import { InstanceSettings } from './settings-instance.tsx'
import { Keys } from './settings-keys.tsx'
import { Operators } from './settings-operators.tsx'

const TABS = [
  ['keys', 'Keys'],
  ['operators', 'Operators'],
  ['instance', 'Instance'],
] as const

export default function Settings() {
  const { may } = useSession()
  const { tab = 'keys' } = useSearch({ strict: false }) as Search
  if (!may('GetSecretKeyList')) return <Forbidden title="Settings" roles={['admin']} />
  return (
    <div className="stack">
      <Title title="Settings" />
      <Tabs label="Settings" tabs={TABS} current={tab} />
      {tab === 'keys' && <Keys />}
      {tab === 'operators' && <Operators />}
      {tab === 'instance' && <InstanceSettings />}
    </div>
  )
}

// Watch the experts: live grid and balance, the token inspector, two conversations side by side.
import { Tabs } from '../../components/index.ts';
import { navigate, useLocation } from '../../shell/navigation.ts';
import { CompareView } from './compare-view.tsx';
import style from './experts.module.css';
import { LiveView } from './live-view.tsx';
import { TokenInspector } from './token-inspector.tsx';

const views = ['live', 'tokens', 'compare'] as const;

/** `#/experts/live?of=chat:ID`, `#/experts/tokens?chat=ID&message=ID`, `#/experts/compare?left=ID&right=ID`; `#/experts?message=ID` opens the inspector. */
export default function ExpertsPage() {
  const { parts, query } = useLocation();
  const message = query.get('message');
  const view = views.find((name) => name === parts[0]) ?? (message ? 'tokens' : 'live');
  const tabs = [
    { id: 'live', label: 'Live', content: <LiveView wanted={query.get('of')} /> },
    { id: 'tokens', label: 'Token inspector', content: <TokenInspector chatId={query.get('chat')} messageId={message} /> },
    { id: 'compare', label: 'Compare', content: <CompareView left={query.get('left')} right={query.get('right')} /> },
  ];
  return (
    <div className={style.page}>
      <h1 className="visually-hidden">Experts</h1>
      <Tabs label="Views of the experts" tabs={tabs} value={view} onChange={(id) => navigate('experts', [id])} />
    </div>
  );
}

import { Compass, RotateCw } from 'lucide-react';
import { Component, type ComponentType, type ErrorInfo, lazy, type ReactNode, Suspense, useEffect } from 'react';
import { Button, EmptyState } from '../components/index.ts';
import { type Page, pages } from '../pages/registry.ts';
import { navigate, useLocation } from './navigation.ts';

const components = new Map<string, ComponentType>(pages.map((page) => [page.id, lazy(page.load)]));

/** The page that the address names. */
export function PageOutlet() {
  const { page: id } = useLocation();
  const page = pages.find((candidate) => candidate.id === id);
  const PageComponent = components.get(id);
  useEffect(() => {
    document.title = page ? `${page.title} · Moebius` : 'Moebius';
  }, [page]);
  if (!page || !PageComponent) return <UnknownPage id={id} />;
  return (
    <PageBoundary key={page.id} page={page}>
      <Suspense fallback={null}>
        <PageComponent />
      </Suspense>
    </PageBoundary>
  );
}

function UnknownPage({ id }: { id: string }) {
  return (
    <EmptyState icon={Compass} title="No such page" action={<Button onClick={() => navigate('chat')}>Go to Chat</Button>}>
      There is no page at “{id}”.
    </EmptyState>
  );
}

/** A bug in one page leaves the others alone. */
class PageBoundary extends Component<{ page: Page; children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(error: Error, info: ErrorInfo) {
    console.error(error, info.componentStack);
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    const again = (
      <Button icon={RotateCw} onClick={() => this.setState({ error: null })}>
        Show it again
      </Button>
    );
    return (
      <EmptyState title={`${this.props.page.title} failed`} action={again}>
        {error.message} This is a bug in Moebius. Nothing is lost: chats and settings are kept by the application core.
      </EmptyState>
    );
  }
}

import { Pgbell } from '@pgbell/client';
import { PgbellProvider, useNotifications, useRows, useSocket } from '@pgbell/react';
import { act, cleanup, render } from '@testing-library/react';
import { renderToString } from 'react-dom/server';
import { afterEach, expect, test, vi } from 'vitest';
import { FakeNetwork, paperToken } from '../../../testing/fake.js';

afterEach(cleanup);

function Page() {
  const { status } = useSocket({ onBookingUpdate: () => {} });
  const { rows, loading } = useRows('booking');
  const { unread } = useNotifications();
  return (
    <p>
      {status} {rows.length} {String(loading)} {unread}
    </p>
  );
}
const App = ({ net }: { net: FakeNetwork }) => (
  <PgbellProvider
    url="https://bell.example"
    token={() => paperToken('anna')}
    WebSocket={net.WebSocket}
    fetch={net.fetch}
  >
    <Page />
  </PgbellProvider>
);
function Alone() {
  return <i>{useSocket({ userId: 'anna', token: 't', url: 'https://bell.example' }).status}</i>;
}

test('on a server nothing connects, and the page hydrates as it was', async () => {
  const complaints = vi.spyOn(console, 'error');
  const net = new FakeNetwork();
  const made = vi.spyOn(Pgbell.prototype, 'connect');
  const html = renderToString(<App net={net} />);
  expect(html).toBe('<p>idle<!-- --> <!-- -->0<!-- --> <!-- -->true<!-- --> <!-- -->0</p>');
  expect(renderToString(<Alone />)).toBe('<i>idle</i>');
  expect(made).not.toHaveBeenCalled();
  expect(net.requests).toHaveLength(0);

  const container = document.createElement('div');
  container.innerHTML = html;
  document.body.append(container);
  await act(async () => {
    render(<App net={net} />, { container, hydrate: true });
  });
  expect(container.textContent).toContain('connecting');
  expect(complaints).not.toHaveBeenCalled();
});

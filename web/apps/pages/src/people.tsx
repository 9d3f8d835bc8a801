import { useEffect, useState } from 'react';

/** Somebody whom the demo lets anybody be. */
export interface Person {
  id: string;
  name: string;
  role: 'CLIENT' | 'PROVIDER' | 'ADMIN';
  token: string;
  suggested?: boolean;
}

/** Whether this server has a marketplace. It says so in the document. */
export const isDemo = document.documentElement.hasAttribute('data-demo');

/** Asked for anew each time: a demo that was started again has other tokens. */
export async function fetchPeople(): Promise<Person[]> {
  const answer = await fetch('/demo/people');
  if (!answer.ok) throw new Error('this server runs no demo');
  return answer.json();
}

/** The token that each got last. */
const held = new Map<string, string>();

/** A new token of somebody. */
export async function tokenOf(id: string): Promise<string> {
  const person = (await fetchPeople()).find((p) => p.id === id);
  if (!person) throw new Error(`nobody is called ${id}`);
  held.set(id, person.token);
  return person.token;
}

/** The token that somebody's connection has, which renews it in time. */
export const heldToken = async (id: string): Promise<string> => held.get(id) ?? tokenOf(id);

/** Has the demo sign whatever token one wishes for. */
export async function mint(user: string, roles: readonly string[], seconds = 3600): Promise<string> {
  const answer = await fetch('/demo/api/tokens', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user, roles, seconds }),
  });
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(said?.message ?? `The demo answered ${answer.status}.`);
  return said.token;
}

/** Everybody; undefined until they are known, null where there is no demo. */
export function usePeople(): Person[] | null | undefined {
  const [people, setPeople] = useState<Person[] | null | undefined>(isDemo ? undefined : null);
  useEffect(() => {
    if (!isDemo) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = () =>
      fetchPeople().then(
        (all) => over || setPeople(all),
        () => {
          if (!over) timer = setTimeout(ask, 2000);
        },
      );
    void ask();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);
  return people;
}

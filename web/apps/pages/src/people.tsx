import { useEffect, useState } from 'react';

/** Somebody whom the demo lets anybody be. */
export interface Person {
  id: string;
  name: string;
  role: 'CLIENT' | 'PROVIDER' | 'ADMIN';
  token: string;
  suggested?: boolean;
}

/** Asked for anew each time: a demo that was started again has other tokens. */
export async function fetchPeople(): Promise<Person[]> {
  const answer = await fetch('/demo/people');
  if (!answer.ok) throw new Error('this server runs no demo');
  return answer.json();
}

export async function tokenOf(id: string): Promise<string> {
  const person = (await fetchPeople()).find((p) => p.id === id);
  if (!person) throw new Error(`nobody is called ${id}`);
  return person.token;
}

/** Everybody; undefined until they are known, null where there is no demo. */
export function usePeople(): Person[] | null | undefined {
  const [people, setPeople] = useState<Person[] | null>();
  useEffect(() => {
    let over = false;
    fetchPeople().then(
      (all) => over || setPeople(all),
      () => over || setPeople(null),
    );
    return () => {
      over = true;
    };
  }, []);
  return people;
}

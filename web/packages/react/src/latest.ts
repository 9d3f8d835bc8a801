import { useInsertionEffect, useRef } from 'react';

/** What was rendered last, for functions that are called later. */
export function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}

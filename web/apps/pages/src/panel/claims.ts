/** What a token says of its owner. */
export interface Claims {
  user: string;
  roles: string[];
  /** Milliseconds since 1970. */
  until?: number;
}

/** Reads what anybody can read of a token; null if it is none. */
export function claims(token: string): Claims | null {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const { sub, roles, role, exp } = JSON.parse(atob(part));
    return {
      user: String(sub),
      roles: [roles ?? role ?? []].flat().map(String),
      ...(exp && { until: exp * 1000 }),
    };
  } catch {
    return null;
  }
}

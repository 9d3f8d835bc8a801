import type { ReactNode } from 'react';

interface IconProps {
  size?: number;
}

/** Drawn on a grid of 24 with lines of 2, as its neighbours. */
function Drawn({ size = 18, children }: IconProps & { children: ReactNode }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const BellIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="M6 10a6 6 0 1 1 12 0v4l2 3H4l2-3z" />
    <path d="M10 20.5a2.2 2.2 0 0 0 4 0" />
  </Drawn>
);

export const SunIcon = (props: IconProps) => (
  <Drawn {...props}>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4" />
  </Drawn>
);

export const MoonIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z" />
  </Drawn>
);

export const ScreenIcon = (props: IconProps) => (
  <Drawn {...props}>
    <rect x="3" y="4" width="18" height="12" rx="2" />
    <path d="M8 20h8M12 16v4" />
  </Drawn>
);

export const BoltIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="M13 2 5 14h6l-1 8 8-12h-6z" />
  </Drawn>
);

export const CheckIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="m5 13 4 4L19 7" />
  </Drawn>
);

export const CrossIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="M6 6l12 12M18 6 6 18" />
  </Drawn>
);

export const DashIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="M6 12h12" />
  </Drawn>
);

export const SearchIcon = (props: IconProps) => (
  <Drawn {...props}>
    <circle cx="11" cy="11" r="6" />
    <path d="m20 20-4.5-4.5" />
  </Drawn>
);

export const ArrowIcon = (props: IconProps) => (
  <Drawn {...props}>
    <path d="M5 12h14M13 6l6 6-6 6" />
  </Drawn>
);

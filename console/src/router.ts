import { useEffect, useState } from 'preact/hooks';

export interface Place {
  page: string;
  parts: string[];
}

function read(): Place {
  const [page = '', ...parts] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  return { page: page || 'overview', parts };
}

export const link = (...parts: string[]) => '#/' + parts.map(encodeURIComponent).join('/');

export function usePlace(): Place {
  const [place, setPlace] = useState(read);
  useEffect(() => {
    const changed = () => setPlace(read());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return place;
}

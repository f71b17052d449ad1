/** Eight series colours that differ for colour-blind eyes too; the style sheet holds them for light and dark. */
export const SERIES = 8;

export const seriesClass = (index: number) => `s${index % SERIES}`;

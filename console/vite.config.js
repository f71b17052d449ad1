import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig } from 'vite';

// The server sends these twins as they are, so it never compresses while it serves.
const compressed = {
  name: 'compressed-twins',
  apply: 'build',
  closeBundle() {
    for (const entry of readdirSync('dist', { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(html|js|css|svg|webmanifest)$/.test(entry.name)) continue;
      const file = join(entry.parentPath ?? entry.path, entry.name);
      const bytes = readFileSync(file);
      writeFileSync(file + '.gz', gzipSync(bytes, { level: 9 }));
      writeFileSync(file + '.br', brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    }
  },
};

export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2020',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The server answers by ETag, so names need no hash, and a new build leaves no old file behind.
    rollupOptions: { output: { entryFileNames: 'assets/console.js', chunkFileNames: 'assets/[name].js', assetFileNames: 'assets/console[extname]' } },
  },
  plugins: [compressed],
  server: { proxy: { '/api': 'http://localhost:8080', '/metrics': 'http://localhost:8080', '/openapi.json': 'http://localhost:8080' } },
});

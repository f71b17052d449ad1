import { render } from 'preact';
import { App } from './app';
import { live } from './live/store';
import { applyTheme } from './ui/theme';
import './style.css';

applyTheme();
live.start();
render(<App />, document.getElementById('app')!);

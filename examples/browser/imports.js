// An import map for pages, so that they import modslab by its name, as code with a bundler does. Workers and worklets
// know no import maps: they import /modslab/index.js.
const map = document.createElement('script');
map.type = 'importmap';
map.textContent = JSON.stringify({ imports: { modslab: '/modslab/index.js' } });
document.head.append(map);

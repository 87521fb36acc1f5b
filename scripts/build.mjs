// Builds the workspace with TypeScript's API, package after package: `src` to `dist`, `test` to `build/test`.
//
//   node scripts/build.mjs [--src] [--quiet] [PACKAGE…]     --src: leave the tests out
//
// Why not plain tsc: a package whose package.json names the condition `modslab-checked` is built twice. In `dist/`
// every statement `assert(…);`, `killPoint(…);` and `if (failPoint(…)) …` is removed, so that what users run pays nothing
// for them; in `dist/checked/` they stay, and the tests run on that (`node --conditions=modslab-checked`). In both, names of numbers
// become numbers. Of the first, bundle.mjs makes what Node loads; tests that reach into the release's modules, as well as its
// entry points, take both as modules (`--conditions=modslab-modules`), or a class would be there twice. A project is skipped
// when neither its inputs nor those of the packages that it needs have changed since its last clean build.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { BUNDLE, bundleEntries, bundlePages, hasBundles, hasPages } from './bundle.mjs';
import { packages, root, walk } from './workspace.mjs';

const CHECKED = 'modslab-checked';
const REMOVED = new Set(['assert', 'killPoint']);
const REMOVED_IF = new Set(['failPoint']);

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { src: { type: 'boolean' }, quiet: { type: 'boolean' } },
});

const formatHost = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => root,
  getNewLine: () => '\n',
};

/** Local names that a file imports from another package; those are never removed (`assert` of node:assert). */
function foreignNames(file) {
  const foreign = new Set();
  for (const node of file.statements) {
    if (!ts.isImportDeclaration(node) || node.moduleSpecifier.text.startsWith('.')) continue;
    const { name, namedBindings } = node.importClause ?? {};
    if (name) foreign.add(name.text);
    if (namedBindings && ts.isNamedImports(namedBindings)) {
      for (const element of namedBindings.elements) foreign.add(element.name.text);
    }
  }
  return foreign;
}

function collectIdentifiers(node, into) {
  if (ts.isIdentifier(node)) into.add(node.text);
  ts.forEachChild(node, (child) => collectIdentifiers(child, into));
}

/** The number that a constant expression stands for; undefined where it is none, or not known here. */
function evaluate(checker, node) {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isParenthesizedExpression(node)) return evaluate(checker, node.expression);
  if (ts.isPrefixUnaryExpression(node)) {
    const value = evaluate(checker, node.operand);
    if (value === undefined) return undefined;
    if (node.operator === ts.SyntaxKind.MinusToken) return -value;
    return node.operator === ts.SyntaxKind.TildeToken ? ~value : undefined;
  }
  if (ts.isBinaryExpression(node)) {
    const [a, b] = [evaluate(checker, node.left), evaluate(checker, node.right)];
    const operation = OPERATIONS[node.operatorToken.getText()];
    return a === undefined || b === undefined ? undefined : operation?.(a, b);
  }
  return ts.isIdentifier(node) || ts.isPropertyAccessExpression(node) ? constantOf(checker, node) : undefined;
}

const OPERATIONS = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '**': (a, b) => a ** b,
  '|': (a, b) => a | b,
  '&': (a, b) => a & b,
  '<<': (a, b) => a << b,
  '>>>': (a, b) => a >>> b,
};

/** The number of a module's `const`, or of a property of a module's constant object such as `GFP.ZERO`. */
function constantOf(checker, node) {
  const object = ts.isPropertyAccessExpression(node) ? node.expression : undefined;
  if (object && !(ts.isIdentifier(object) && /^[A-Z]+$/.test(object.text))) return undefined;
  let symbol = checker.getSymbolAtLocation(ts.isIdentifier(node) ? node : object);
  if (symbol && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
  const declaration = symbol?.valueDeclaration;
  if (!declaration || !ts.isVariableDeclaration(declaration) || !declaration.initializer) return undefined;
  if (!(declaration.parent.flags & ts.NodeFlags.Const) || !ts.isSourceFile(declaration.parent.parent.parent))
    return undefined;
  if (!object) return evaluate(checker, declaration.initializer);
  if (!ts.isObjectLiteralExpression(declaration.initializer)) return undefined;
  const property = declaration.initializer.properties.find((p) => p.name?.getText() === node.name.text);
  return property && ts.isPropertyAssignment(property) ? evaluate(checker, property.initializer) : undefined;
}

/** Whether an identifier is read as a value where it stands. */
function isRead(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isPropertyAssignment(parent)) {
    return parent.initializer === node;
  }
  return (
    ts.isExpression(parent) ||
    ts.isStatement(parent) ||
    ts.isTemplateSpan(parent) ||
    ts.isComputedPropertyName(parent)
  );
}

/** Whether `node` calls one of these functions, which are modslab's own. */
function isCallOf(names, node, foreign) {
  if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression)) return false;
  const { text } = node.expression;
  return names.has(text) && !foreign.has(text);
}

/**
 * The transformer of both variants. To V8 an imported or exported `const` is a cell, loaded and checked at every use (a
 * pair of kmalloc and kfree took twice the time): so names of numbers are replaced by the numbers. The release variant
 * loses its assertions as well.
 */
const transform = (checker, release) => (context) => (file) => {
  const { factory } = context;
  const foreign = foreignNames(file);
  const gone = new Set();
  const visit = (node) => {
    if ((ts.isIdentifier(node) && isRead(node)) || ts.isPropertyAccessExpression(node)) {
      const value = constantOf(checker, node);
      if (value !== undefined) {
        collectIdentifiers(node, gone);
        const literal = factory.createNumericLiteral(Math.abs(value));
        return value < 0
          ? factory.createParenthesizedExpression(factory.createPrefixMinus(literal))
          : literal;
      }
    }
    const isRemoved =
      (ts.isExpressionStatement(node) && isCallOf(REMOVED, node.expression, foreign)) ||
      (ts.isIfStatement(node) && !node.elseStatement && isCallOf(REMOVED_IF, node.expression, foreign));
    if (release && isRemoved) {
      collectIdentifiers(node, gone);
      // A list of statements can lose one; the only statement of an `if` or a loop becomes an empty one.
      return ts.isBlock(node.parent) || ts.isSourceFile(node.parent) || ts.isCaseOrDefaultClause(node.parent)
        ? undefined
        : factory.createEmptyStatement();
    }
    return ts.visitEachChild(node, visit, context);
  };
  const stripped = ts.visitEachChild(file, visit, context);
  if (gone.size === 0) return file;

  // Imports that only the removed statements used go too.
  const used = new Set();
  for (const node of stripped.statements) if (!ts.isImportDeclaration(node)) collectIdentifiers(node, used);
  const statements = stripped.statements.flatMap((node) => {
    const bindings = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : undefined;
    if (!bindings || !ts.isNamedImports(bindings)) return [node];
    const kept = bindings.elements.filter(
      ({ name, isTypeOnly }) => !isTypeOnly && (used.has(name.text) || !gone.has(name.text)),
    );
    if (kept.length === bindings.elements.length) return [node];
    if (kept.length === 0 && !node.importClause.name) return [];
    const clause = factory.updateImportClause(
      node.importClause,
      node.importClause.phaseModifier,
      node.importClause.name,
      kept.length > 0 ? factory.updateNamedImports(bindings, kept) : undefined,
    );
    return [
      factory.updateImportDeclaration(node, node.modifiers, clause, node.moduleSpecifier, node.attributes),
    ];
  });
  return factory.updateSourceFile(stripped, statements);
};

/** Writes in one step and only what has changed, so that a process that reads at this moment sees a whole file. */
function writeOutput(file, text) {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}

/** One tsconfig: emits its variants, removes what earlier builds left there, and returns the errors. */
function compile(configFile, checkedVariant) {
  const { config, error } = ts.readConfigFile(configFile, ts.sys.readFile);
  const parsed = ts.parseJsonConfigFileContent(
    config ?? {},
    ts.sys,
    dirname(configFile),
    undefined,
    configFile,
  );
  if (error || parsed.errors.length > 0) return [error, ...parsed.errors].filter(Boolean);

  const written = new Set();
  const write = (file, text) => {
    writeOutput(file, text);
    written.add(join(file));
  };
  const host = ts.createCompilerHost(parsed.options);
  const program = ts.createProgram(parsed.fileNames, parsed.options, host);
  const transformers = (of, release) =>
    checkedVariant ? { before: [transform(of.getTypeChecker(), release)] } : {};
  const result = program.emit(undefined, write, undefined, false, transformers(program, true));
  if (checkedVariant) {
    const outDir = join(parsed.options.outDir, 'checked');
    const checked = { ...parsed.options, outDir, noCheck: true, declaration: false, declarationMap: false };
    delete checked.isolatedDeclarations;
    const again = ts.createProgram(parsed.fileNames, checked, host, program);
    again.emit(undefined, write, undefined, false, transformers(again, false));
  }
  const bundles = join(dirname(configFile), BUNDLE, sep);
  const isOutput = (file) => /[.](js|ts|map)$/.test(file) && !file.startsWith(bundles);
  for (const file of walk(parsed.options.outDir, isOutput)) {
    if (!written.has(file)) rmSync(file, { force: true });
  }
  return ts.sortAndDeduplicateDiagnostics([...ts.getPreEmitDiagnostics(program), ...result.diagnostics]);
}

/** A digest of everything that one project is built from. */
function digest(pkg, folders, needed) {
  const hash = createHash('sha256').update(needed.join());
  const common = [
    'scripts/build.mjs',
    'scripts/bundle.mjs',
    'package-lock.json',
    'tsconfig.base.json',
    'types/webassembly.d.ts',
  ];
  const shared = common.map((name) => join(root, name));
  const own = ['package.json', 'tsconfig.json', 'tsconfig.test.json'].map((name) => join(pkg.dir, name));
  const sources = folders.flatMap((folder) => walk(join(pkg.dir, folder)));
  for (const file of [...shared, ...own, ...sources].filter((name) => existsSync(name))) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${relative(root, file).split(sep).join('/')} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}

const digests = new Map(); // package name → digest of its src, which those that need it include in theirs
let failed = false;

function project(pkg, kind, configName, folders, outDir) {
  const configFile = join(pkg.dir, configName);
  const needed = Object.keys(pkg.needs).map((name) => digests.get(name) ?? '');
  if (kind === 'test') needed.push(digests.get(pkg.name));
  const key = digest(pkg, folders, needed);
  if (kind === 'src') digests.set(pkg.name, key);
  if (names.length > 0 && !names.includes(pkg.name)) return;
  if (!existsSync(configFile) || walk(join(pkg.dir, kind), (file) => file.endsWith('.ts')).length === 0)
    return;

  const label = `${pkg.name} ${kind}`;
  const stamp = join(pkg.dir, 'build', `${kind}.stamp`);
  if (
    existsSync(stamp) &&
    existsSync(join(pkg.dir, outDir)) &&
    readFileSync(stamp, 'utf8') === key &&
    hasPages(pkg) &&
    hasBundles(pkg)
  ) {
    if (!options.quiet) console.log(`${label}: up to date`);
    return;
  }
  const start = performance.now();
  rmSync(stamp, { force: true });
  const errors = compile(configFile, kind === 'src' && JSON.stringify(pkg.json).includes(CHECKED));
  if (errors.length > 0) {
    failed = true;
    console.error(ts.formatDiagnostics(errors, formatHost).trimEnd());
    console.error(`${label}: ${errors.length} error${errors.length > 1 ? 's' : ''}`);
  } else {
    if (kind === 'src') {
      bundlePages(pkg);
      bundleEntries(pkg, writeOutput);
    }
    writeOutput(stamp, key);
    if (!options.quiet)
      console.log(`${label}: built in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}

for (const pkg of packages()) {
  project(pkg, 'src', 'tsconfig.json', ['src', 'types'], 'dist');
  if (!options.src) project(pkg, 'test', 'tsconfig.test.json', ['test'], 'build/test');
}
process.exitCode = failed ? 1 : 0;

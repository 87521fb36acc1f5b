/**
 * Makes the real modules of `src/` stop before every access to shared metadata.
 *
 * The TypeScript sources are emitted once more, into `build/explore/` (not in git), with these changes and no others:
 *
 *     m[i]                       → ($at(i) && (yield), $read())              m: a view of the metadata, by name and type
 *     m[i] = v                   → ($put(i, v) && (yield), $write())
 *     m[i] |= v                  → two steps, a read and a write
 *     Atomics.xxx(m, i, …)       → ($cas(i, a, b) && (yield), $swap())       one step, as on the machine
 *     function f(…) { … }        → function* f(…) { … }                      if it, or what it calls, has such an access
 *     f(…)                       → (yield* f(…))
 *     new C(…)                   → (yield* new C().$construct(…))
 *
 * So one thread of JavaScript can run several CPUs, step by step, in any order (`explorer.ts`): the code between two
 * steps is the product's, token for token. An access asks the shim first (`$at`, which tells the explorer where this CPU
 * is, and answers whether to stop there), and is made after that by the shim (`$read`), on the buffer itself.
 *
 * *Coloured* are the functions that must become generators: those with an access, and those that call a coloured one,
 * through an interface or a closure too. Not coloured, because JavaScript calls them itself: accessors, callbacks of
 * built-in functions, functions that were generators before. Accesses in those are made at once, without a stop before
 * them; `transform` returns how many there are, so that a test can tell if they become more.
 *
 * Left as they are: `memory/assert.ts`, `memory/metadata.ts` (set-up: constants) and the counters of a CPU's slow paths,
 * which nobody decides anything by.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

/** The package's folder: this file is `build/test/explore/transform.js` in it. */
export const packageRoot: string = join(dirname(fileURLToPath(import.meta.url)), '../../..');

const SHIM = pathToFileURL(join(dirname(fileURLToPath(import.meta.url)), 'shim.js')).href;
const SHIM_NAMES = [
  '$at',
  '$read',
  '$put',
  '$write',
  '$putBack',
  '$cas',
  '$swap',
  '$update',
  '$updated',
  '$bytes',
  '$fill',
  '$move',
  '$slice',
  '$touch',
  '$size',
  '$now',
  '$quiet',
  '$dynamic',
  '$byte',
];
/** Methods of the bytes, each of which is one step. */
const BULK = { set: '$bytes', fill: '$fill', copyWithin: '$move' } as const;
const UNTOUCHED: ReadonlySet<string> = new Set(['memory/assert.ts', 'memory/metadata.ts']);
const UNTOUCHED_METHODS: ReadonlySet<string> = new Set([
  'Cpu.count',
  'Cpu.counted',
  'Cpu.countOf',
  'Cpu.countMain',
  'Cpu.countFromHere',
  'Cpu.countedOf',
  'Cpu.bookFlushFor',
  'Cpu.clearCountersOf',
]);
const READ_MODIFY_WRITE: ReadonlySet<string> = new Set(['add', 'sub', 'and', 'or', 'xor', 'exchange']);

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  lib: ['lib.es2024.d.ts', 'lib.esnext.disposable.d.ts'],
  types: [],
  strict: true,
  useDefineForClassFields: false,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
  noCheck: true,
  skipLibCheck: true,
  removeComments: true,
  sourceMap: false,
};

/** What the transform did. */
export interface Transformed {
  /** The folder that the modules are in. */
  readonly folder: string;
  /** Accesses with a stop before them. */
  readonly stops: number;
  /** Accesses without one, by function. */
  readonly atomic: Readonly<Record<string, number>>;
}

type FunctionNode = ts.FunctionLikeDeclaration & { readonly body: ts.ConciseBody };

function isFunctionNode(node: ts.Node): node is FunctionNode {
  return ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;
}

function enclosingFunction(node: ts.Node): FunctionNode | undefined {
  let at: ts.Node | undefined = node.parent;
  while (at !== undefined && !isFunctionNode(at)) at = at.parent;
  return at;
}

/** What a function is called in reports. */
function label(node: ts.Node): string {
  const own = ts.isFunctionLike(node) && node.name !== undefined ? node.name.getText() : '';
  const holder = ts.findAncestor(node, ts.isClassDeclaration)?.name?.text;
  if (own !== '') return holder === undefined ? own : `${holder}.${own}`;
  if (ts.isConstructorDeclaration(node)) return `${holder}.constructor`;
  const outer = enclosingFunction(node);
  return outer === undefined ? 'module' : `${label(outer)} callback`;
}

/** Which functions become generators. */
class Colours {
  private readonly checker: ts.TypeChecker;
  private readonly sources: ReadonlySet<ts.SourceFile>;
  private readonly coloured: Set<ts.Node> = new Set();
  /** Functions that must stay what they are, though they may have accesses. */
  private readonly fixed: Set<ts.Node> = new Set();
  /** By name: all methods, for calls through an interface or a base class. */
  private readonly methods: Map<string, FunctionNode[]> = new Map();

  constructor(checker: ts.TypeChecker, sources: readonly ts.SourceFile[]) {
    this.checker = checker;
    this.sources = new Set(sources);
    const all: FunctionNode[] = [];
    const collect = (node: ts.Node): void => {
      if (isFunctionNode(node)) this.enter(node, all);
      ts.forEachChild(node, collect);
    };
    for (const file of sources) collect(file);
    for (let grew = true; grew; ) {
      grew = false;
      for (const node of all) {
        if (this.coloured.has(node) || this.fixed.has(node) || !this.mustStop(node)) continue;
        this.colour(node);
        grew = true;
      }
    }
  }

  /** With a constructor, those that it calls as `super`. */
  private colour(node: FunctionNode): void {
    this.coloured.add(node);
    if (!ts.isConstructorDeclaration(node)) return;
    for (const statement of node.body?.statements ?? []) {
      const call = ts.isExpressionStatement(statement) ? statement.expression : undefined;
      if (
        call === undefined ||
        !ts.isCallExpression(call) ||
        call.expression.kind !== ts.SyntaxKind.SuperKeyword
      )
        continue;
      const base = this.checker.getResolvedSignature(call)?.declaration;
      if (base !== undefined && isFunctionNode(base) && this.sources.has(base.getSourceFile()))
        this.colour(base);
    }
  }

  isColoured(node: ts.Node): boolean {
    return this.coloured.has(node);
  }

  /** Whether an element access is one of shared metadata: a view named `m` or `s`. 'word', 'byte' or no. */
  sharedView(expression: ts.Expression): 'word' | 'byte' | undefined {
    const name = ts.isIdentifier(expression)
      ? expression.text
      : ts.isPropertyAccessExpression(expression)
        ? expression.name.text
        : '';
    if (name !== 'm' && name !== 's') return undefined;
    const type = this.checker.getTypeAtLocation(expression).symbol?.name;
    if (type === 'Int32Array') return 'word';
    return type === 'Uint8Array' ? 'byte' : undefined;
  }

  /** The view that `Atomics.xxx` is called on. */
  atomicsView(call: ts.CallExpression): 'word' | 'byte' | undefined {
    const { expression } = call;
    if (!ts.isPropertyAccessExpression(expression) || expression.expression.getText() !== 'Atomics')
      return undefined;
    return expression.name.text === 'wait' || expression.name.text === 'notify'
      ? undefined
      : this.sharedView(call.arguments[0]);
  }

  /** Bulk accesses: `s.set(…)`, `s.fill(…)`, `s.copyWithin(…)`, and `bytes.slice(…)` of memory/text.ts. */
  bulk(call: ts.CallExpression): keyof typeof BULK | 'slice' | undefined {
    const { expression } = call;
    if (!ts.isPropertyAccessExpression(expression)) return undefined;
    const { text } = expression.name;
    if (text in BULK && this.sharedView(expression.expression) === 'byte') return text as keyof typeof BULK;
    const inText = call.getSourceFile().fileName.endsWith('memory/text.ts');
    return inText && expression.name.text === 'slice' ? 'slice' : undefined;
  }

  /** Growth of the data buffer: `x.grow(…)`, `x.grow?.(…)`, `x.resize?.(…)` of the platform, and its size. */
  growth(node: ts.Node): 'grow' | 'size' | undefined {
    if (!node.getSourceFile().fileName.endsWith('memory/data.ts')) return undefined;
    const holder = ts.findAncestor(node, isFunctionNode);
    if (holder === undefined || !ts.isMethodDeclaration(holder) || holder.name.getText() !== 'enlarge')
      return undefined;
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      return /^(grow|resize)$/.test(node.expression.name.text) ? 'grow' : undefined;
    }
    return ts.isPropertyAccessExpression(node) && node.name.text === 'byteLength' ? 'size' : undefined;
  }

  /** How a call has to be made: to a generator, to something that may be one, or as it stands. */
  callKind(call: ts.CallExpression | ts.NewExpression): 'coloured' | 'dynamic' | 'plain' {
    const declaration = this.checker.getResolvedSignature(call)?.declaration;
    if (declaration === undefined || !this.sources.has(declaration.getSourceFile()))
      return this.callsByCall(call) ? 'dynamic' : 'plain';
    if (ts.isMethodDeclaration(declaration) || ts.isMethodSignature(declaration)) {
      // Another class may have a method of its own in this one's place.
      const all = this.methods.get(declaration.name.getText()) ?? [];
      if (!all.some((node) => this.coloured.has(node))) return 'plain';
      return all.every((node) => this.coloured.has(node)) ? 'coloured' : 'dynamic';
    }
    if (isFunctionNode(declaration)) return this.coloured.has(declaration) ? 'coloured' : 'plain';
    return ts.isFunctionTypeNode(declaration) ? 'dynamic' : 'plain';
  }

  /** `f.call(…)`, `f.apply(…)` of a function of the sources. */
  private callsByCall(call: ts.CallExpression | ts.NewExpression): boolean {
    const { expression } = call;
    if (!ts.isPropertyAccessExpression(expression) || !/^(call|apply)$/.test(expression.name.text))
      return false;
    const called = this.checker.getNonNullableType(this.checker.getTypeAtLocation(expression.expression));
    return called
      .getCallSignatures()
      .some(({ declaration }) => declaration !== undefined && this.sources.has(declaration.getSourceFile()));
  }

  private enter(node: FunctionNode, all: FunctionNode[]): void {
    all.push(node);
    const { parent } = node;
    const isGenerator = 'asteriskToken' in node && node.asteriskToken !== undefined;
    const isCallback = ts.isCallExpression(parent) && parent.expression !== node && this.isBuiltIn(parent);
    if (ts.isAccessor(node) || isGenerator || isCallback || UNTOUCHED_METHODS.has(label(node)))
      this.fixed.add(node);
    const holder = ts.isPropertyAssignment(parent) ? parent : ts.isMethodDeclaration(node) ? node : undefined;
    if (holder === undefined) return;
    const name = holder.name.getText();
    this.methods.set(name, [...(this.methods.get(name) ?? []), node]);
  }

  private isBuiltIn(call: ts.CallExpression): boolean {
    const declaration = this.checker.getResolvedSignature(call)?.declaration;
    return declaration === undefined || !this.sources.has(declaration.getSourceFile());
  }

  /** Whether a function has an access of its own, or a call of a coloured one. */
  private mustStop(node: FunctionNode): boolean {
    let found = false;
    const look = (child: ts.Node): void => {
      if (found || isFunctionNode(child)) return;
      if (ts.isElementAccessExpression(child) && this.sharedView(child.expression) !== undefined)
        found = true;
      if (ts.isPropertyAccessExpression(child) && this.growth(child) !== undefined) found = true;
      if (ts.isCallExpression(child)) {
        found ||= this.atomicsView(child) !== undefined || this.bulk(child) !== undefined;
      }
      if (ts.isCallExpression(child) || ts.isNewExpression(child)) found ||= this.callKind(child) !== 'plain';
      ts.forEachChild(child, look);
    };
    ts.forEachChild(node, look);
    return found;
  }
}

/** Rewrites one file. */
class Rewriter {
  private readonly f: ts.NodeFactory;
  private readonly context: ts.TransformationContext;
  private readonly colours: Colours;
  private readonly counts: { stops: number; atomic: Record<string, number> };
  /** Whether the code at hand is in a generator, so that it can stop. */
  private canStop = false;
  private holder = 'module';

  constructor(
    context: ts.TransformationContext,
    colours: Colours,
    counts: { stops: number; atomic: Record<string, number> },
  ) {
    this.f = context.factory;
    this.context = context;
    this.colours = colours;
    this.counts = counts;
  }

  file(file: ts.SourceFile): ts.SourceFile {
    const { f } = this;
    const visited = ts.visitEachChild(file, this.visit, this.context);
    const names = SHIM_NAMES.map((name) =>
      f.createImportSpecifier(false, undefined, f.createIdentifier(name)),
    );
    const clause = f.createImportClause(undefined, undefined, f.createNamedImports(names));
    const shim = f.createImportDeclaration(undefined, clause, f.createStringLiteral(SHIM));
    return f.updateSourceFile(visited, [shim, ...visited.statements]);
  }

  private readonly visit = (node: ts.Node): ts.Node => {
    if (ts.isTypeNode(node)) return node;
    if (isFunctionNode(node)) return this.function(node);
    if (ts.isBinaryExpression(node) && ts.isElementAccessExpression(node.left)) {
      const view = this.colours.sharedView(node.left.expression);
      if (view !== undefined && node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment) {
        if (node.operatorToken.kind <= ts.SyntaxKind.LastAssignment)
          return this.assignment(node, node.left, view);
      }
    }
    const isUnary = ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node);
    if (isUnary && ts.isElementAccessExpression(node.operand)) {
      const view = this.colours.sharedView(node.operand.expression);
      const by = { [ts.SyntaxKind.PlusPlusToken]: 1, [ts.SyntaxKind.MinusMinusToken]: -1 }[
        node.operator as number
      ];
      if (view !== undefined && by !== undefined) return this.increment(node, node.operand, view, by);
    }
    if (ts.isElementAccessExpression(node)) {
      const view = this.colours.sharedView(node.expression);
      if (view !== undefined) return this.step('$at', '$read', [this.index(node.argumentExpression, view)]);
    }
    if (this.colours.growth(node) === 'size')
      return this.step('$size', '', [], this.each(node as ts.PropertyAccessExpression));
    if (ts.isCallExpression(node)) return this.call(node);
    if (ts.isNewExpression(node) && this.colours.callKind(node) === 'coloured') {
      const made = this.f.createNewExpression(node.expression, undefined, []);
      const construct = this.f.createPropertyAccessExpression(made, '$construct');
      const args = (node.arguments ?? []).map(this.expression);
      return this.delegate(this.f.createCallExpression(construct, undefined, args));
    }
    return this.each(node);
  };

  private readonly expression = (node: ts.Expression): ts.Expression => this.visit(node) as ts.Expression;

  private each<T extends ts.Node>(node: T): T {
    return ts.visitEachChild(node, this.visit, this.context);
  }

  private call(node: ts.CallExpression): ts.Node {
    const view = this.colours.atomicsView(node);
    if (view !== undefined) return this.atomics(node, view);
    if (this.colours.growth(node) === 'grow') return this.step('$touch', '', [], this.each(node));
    const bulk = this.colours.bulk(node);
    if (bulk !== undefined) {
      const { expression } = node.expression as ts.PropertyAccessExpression;
      const args = node.arguments.map(this.expression);
      return bulk !== 'slice'
        ? this.step(BULK[bulk], '$write', args)
        : this.f.createCallExpression(this.name('$slice'), undefined, [expression, ...args]);
    }
    const kind = this.colours.callKind(node);
    if (node.expression.kind === ts.SyntaxKind.SuperKeyword && this.canStop) {
      if (kind === 'plain') return this.f.createVoidZero();
      const construct = this.f.createPropertyAccessExpression(this.f.createSuper(), '$construct');
      const args = node.arguments.map(this.expression);
      return this.delegate(this.f.createCallExpression(construct, undefined, args));
    }
    if (kind === 'plain') return this.each(node);
    const made = this.each(node);
    // An optional call may give undefined instead of a generator.
    if (kind === 'coloured' && !ts.isOptionalChain(node)) return this.delegate(made);
    return this.delegate(this.f.createCallExpression(this.name('$dynamic'), undefined, [made]));
  }

  /** `yield*` where the code can stop, else the callee is run to its end at once. */
  private delegate(generator: ts.Expression): ts.Expression {
    const { f } = this;
    if (!this.canStop) return f.createCallExpression(this.name('$quiet'), undefined, [generator]);
    return f.createParenthesizedExpression(
      f.createYieldExpression(f.createToken(ts.SyntaxKind.AsteriskToken), generator),
    );
  }

  private atomics(node: ts.CallExpression, view: 'word' | 'byte'): ts.Expression {
    const method = (node.expression as ts.PropertyAccessExpression).name.text;
    const [, index, ...rest] = node.arguments;
    const args = [this.index(index, view), ...rest.map(this.expression)];
    if (method === 'load') return this.step('$at', '$read', args);
    if (method === 'store') return this.step('$put', '$write', args);
    if (method === 'compareExchange') return this.step('$cas', '$swap', args);
    if (!READ_MODIFY_WRITE.has(method)) throw new Error(`Atomics.${method} has no shim`);
    return this.step('$update', '$updated', [this.f.createStringLiteral(method), ...args]);
  }

  private assignment(
    node: ts.BinaryExpression,
    left: ts.ElementAccessExpression,
    view: 'word' | 'byte',
  ): ts.Expression {
    const at = this.index(left.argumentExpression, view);
    if (node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
      return this.step('$put', '$write', [at, this.expression(node.right)]);
    }
    const text = node.operatorToken.getText();
    // The location is that of the read: nothing may come in between.
    if (/[([]/.test(node.right.getText()))
      throw new Error(`too much for a compound assignment: ${node.getText()}`);
    const operator: Record<string, ts.BinaryOperator> = {
      '+=': ts.SyntaxKind.PlusToken,
      '-=': ts.SyntaxKind.MinusToken,
      '|=': ts.SyntaxKind.BarToken,
      '&=': ts.SyntaxKind.AmpersandToken,
    };
    if (operator[text] === undefined) throw new Error(`${text} has no shim`);
    return this.inPlace(at, operator[text], this.expression(node.right));
  }

  private increment(
    node: ts.PrefixUnaryExpression | ts.PostfixUnaryExpression,
    operand: ts.ElementAccessExpression,
    view: 'word' | 'byte',
    by: number,
  ): ts.Expression {
    // What a postfix step is worth, the value before it, is not kept.
    if (!ts.isPrefixUnaryExpression(node) && !ts.isExpressionStatement(node.parent))
      throw new Error(`the value of ${node.getText()} has no shim`);
    const operator = by > 0 ? ts.SyntaxKind.PlusToken : ts.SyntaxKind.MinusToken;
    const one = this.f.createNumericLiteral(1);
    return this.inPlace(this.index(operand.argumentExpression, view), operator, one);
  }

  /** Two steps: a read, and a write of what `operator` makes of it. */
  private inPlace(at: ts.Expression, operator: ts.BinaryOperator, by: ts.Expression): ts.Expression {
    const old = this.step('$at', '$read', [at]);
    return this.step('$putBack', '$write', [this.f.createBinaryExpression(old, operator, by)]);
  }

  private index(node: ts.Expression, view: 'word' | 'byte'): ts.Expression {
    const visited = this.expression(node);
    return view === 'word' ? visited : this.f.createCallExpression(this.name('$byte'), undefined, [visited]);
  }

  /** `(ask(args) && (yield), act())`, or without the stop; `act` may be an expression of its own. */
  private step(ask: string, act: string, args: ts.Expression[], expression?: ts.Expression): ts.Expression {
    const { f } = this;
    const asked = f.createCallExpression(this.name(ask), undefined, args);
    const done = expression ?? f.createCallExpression(this.name(act), undefined, []);
    if (this.canStop) this.counts.stops++;
    else this.counts.atomic[this.holder] = (this.counts.atomic[this.holder] ?? 0) + 1;
    const first = this.canStop
      ? f.createLogicalAnd(
          asked,
          f.createParenthesizedExpression(f.createYieldExpression(undefined, undefined)),
        )
      : f.createCallExpression(this.name('$now'), undefined, [
          f.createArrowFunction(undefined, undefined, [], undefined, undefined, asked),
        ]);
    return f.createParenthesizedExpression(f.createComma(first, done));
  }

  private name(text: string): ts.Identifier {
    return this.f.createIdentifier(text);
  }

  private function(node: FunctionNode): ts.Node {
    if (UNTOUCHED_METHODS.has(label(node))) return node;
    const [before, holder] = [this.canStop, this.holder];
    this.canStop = this.colours.isColoured(node);
    this.holder = label(node);
    const visited = this.each(node);
    const result = this.canStop ? this.asGenerator(visited, ...this.withoutDefaults(visited)) : visited;
    [this.canStop, this.holder] = [before, holder];
    return result;
  }

  /** A generator cannot stop in the default of a parameter: `(p = v) { … }` → `(p) { if (p === undefined) p = v; … }`. */
  private withoutDefaults(node: FunctionNode): [ts.ParameterDeclaration[], ts.Statement[]] {
    const { f } = this;
    const defaults: ts.Statement[] = [];
    const parameters = node.parameters.map((parameter) => {
      const { modifiers, dotDotDotToken, name, type, initializer } = parameter;
      if (initializer === undefined || !ts.isIdentifier(name)) return parameter;
      const isAbsent = f.createStrictEquality(name, f.createVoidZero());
      const assignment = f.createExpressionStatement(f.createAssignment(name, initializer));
      defaults.push(f.createIfStatement(isAbsent, assignment));
      return f.createParameterDeclaration(modifiers, dotDotDotToken, name, undefined, type);
    });
    const statements = ts.isBlock(node.body) ? node.body.statements : [f.createReturnStatement(node.body)];
    return [parameters, [...defaults, ...statements]];
  }

  private asGenerator(
    node: FunctionNode,
    parameters: ts.ParameterDeclaration[],
    statements: ts.Statement[],
  ): ts.Node {
    const { f } = this;
    const star = f.createToken(ts.SyntaxKind.AsteriskToken);
    const body = f.createBlock(statements, true);
    if (ts.isMethodDeclaration(node)) {
      const { modifiers, name } = node;
      return f.createMethodDeclaration(
        modifiers,
        star,
        name,
        undefined,
        undefined,
        parameters,
        undefined,
        body,
      );
    }
    if (ts.isFunctionDeclaration(node)) {
      const { modifiers, name } = node;
      return f.createFunctionDeclaration(modifiers, star, name, undefined, parameters, undefined, body);
    }
    if (ts.isConstructorDeclaration(node)) {
      const made = f.createBlock([...statements, f.createReturnStatement(f.createThis())], true);
      return f.createMethodDeclaration(
        undefined,
        star,
        '$construct',
        undefined,
        undefined,
        parameters,
        undefined,
        made,
      );
    }
    const made = f.createFunctionExpression(
      undefined,
      star,
      undefined,
      undefined,
      parameters,
      undefined,
      body,
    );
    const bind = f.createPropertyAccessExpression(f.createParenthesizedExpression(made), 'bind');
    return f.createCallExpression(bind, undefined, [f.createThis()]);
  }
}

function sourcesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** A source file of the package in another form: for mutants. */
export interface Edit {
  /** Below `src/`. */
  readonly file: string;
  readonly text: string;
}

/** What a file of `src` says, edited or not. */
function textOf(src: string, file: string, edit: Edit | undefined): string {
  return edit !== undefined && file === join(src, edit.file) ? edit.text : readFileSync(file, 'utf8');
}

function digestOf(texts: readonly string[]): string {
  const hash = createHash('sha256').update(ts.version).update(SHIM);
  for (const text of [...texts, readFileSync(fileURLToPath(import.meta.url), 'utf8')]) hash.update(text);
  return hash.digest('hex').slice(0, 16);
}

/** Parsed files, by what they say: most are the same from one mutant to the next. */
const parsed: Map<string, ts.SourceFile> = new Map();

function hostOf(src: string, edit: Edit | undefined, options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  const original = host.getSourceFile.bind(host);
  host.getSourceFile = (name, language, ...rest) => {
    const isEdited = edit !== undefined && join(name) === join(src, edit.file);
    const key = isEdited ? `${name} ${edit.text}` : name;
    const found = parsed.get(key);
    if (found !== undefined) return found;
    const file = isEdited
      ? ts.createSourceFile(name, edit.text, language, true)
      : original(name, language, ...rest);
    if (file !== undefined && !isEdited) parsed.set(key, file);
    return file;
  };
  return host;
}

let program: ts.Program | undefined;

function emit(
  files: readonly string[],
  src: string,
  folder: string,
  edit?: Edit,
): Omit<Transformed, 'folder'> {
  const types = join(packageRoot, 'types');
  const ambient = existsSync(types) ? sourcesIn(types) : [];
  const options = { ...OPTIONS, rootDir: src, outDir: folder };
  program = ts.createProgram([...files, ...ambient], options, hostOf(src, edit, options), program);
  const sources = program
    .getSourceFiles()
    .filter(({ fileName }) => files.includes(join(fileName)) && !UNTOUCHED.has(relative(src, fileName)));
  const colours = new Colours(program.getTypeChecker(), sources);
  const counts = { stops: 0, atomic: {} };
  const before: ts.TransformerFactory<ts.SourceFile> = (context) => (file) =>
    sources.includes(file) ? new Rewriter(context, colours, counts).file(file) : file;
  program.emit(undefined, undefined, undefined, false, { before: [before] });
  return counts;
}

/** The transformed modules of this package; made if they are not there yet. */
export function transform(edit?: Edit): Transformed {
  const src = join(packageRoot, 'src');
  const files = sourcesIn(src);
  const folder = join(packageRoot, 'build/explore', digestOf(files.map((file) => textOf(src, file, edit))));
  const report = join(folder, 'report.json');
  if (!existsSync(report)) {
    const temporary = `${folder}.${process.pid}`;
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    const counts = emit(files, src, temporary, edit);
    writeFileSync(join(temporary, 'report.json'), JSON.stringify(counts));
    writeFileSync(join(temporary, 'package.json'), '{ "type": "module" }');
    try {
      renameSync(temporary, folder);
    } catch {
      // Another process was faster.
      rmSync(temporary, { recursive: true, force: true });
    }
  }
  return { folder, ...(JSON.parse(readFileSync(report, 'utf8')) as Omit<Transformed, 'folder'>) };
}

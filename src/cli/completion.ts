import { WritError } from '../base/error.ts';
import { type Command, EXIT, type Flag } from './command.ts';
import { needed } from './input.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `writ completion SHELL`, made from the same table as the parser. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    path: 'completion',
    summary: 'Print shell completion',
    details: `For ${SHELLS.join(', ')}.`,
    parameters: [{ name: 'shell', summary: SHELLS.join(' | '), required: true }],
    examples: [
      { line: 'source <(writ completion bash)', does: 'completes in this shell; put it into ~/.bashrc for every one' },
      { line: 'source <(writ completion zsh)', does: 'the same for zsh, in ~/.zshrc' },
      { line: 'writ completion fish > ~/.config/fish/completions/writ.fish', does: 'completes in fish from now on' },
    ],
    async run(input, terminal) {
      const shell = needed(input, 'shell');
      const script = completionScript(shell, commands());
      terminal.result({ shell, script }, script);
      return EXIT.ok;
    },
  };
}

/** Completes nouns, verbs, flags and the fixed values of flags; files elsewhere. */
function completionScript(shell: string, commands: readonly Command[]): string {
  if (shell === 'bash') return bash(wordTree(commands));
  if (shell === 'zsh') return zsh(wordTree(commands));
  if (shell === 'fish') return fish(commands);
  throw new WritError('bad_request', 'There is no completion for this shell', {
    field: 'shell',
    remedy: `Use one of: ${SHELLS.join(', ')}.`,
  });
}

/** Flags of a command, those of every command included. */
function flagsOf(command: Command): readonly Flag[] {
  return [
    ...(command.flags ?? []),
    ...(command.changes === true ? [{ name: 'dry-run', summary: 'change nothing' }] : []),
    { name: 'json', summary: 'print the result as JSON' },
    { name: 'quiet', summary: 'print results only' },
    { name: 'help', summary: 'say how it is used' },
  ];
}

/**
 * Words that may follow each path (`''`, `agent`, `agent register` …) and each flag (`agent list --status`). A flag whose
 * value may be anything leads to no words: there the shell completes files.
 */
function wordTree(commands: readonly Command[]): Map<string, Set<string>> {
  const tree = new Map<string, Set<string>>([['', new Set(['help', '--version', '--help'])]]);
  const at = (path: string): Set<string> => {
    const words = tree.get(path) ?? new Set();
    tree.set(path, words);
    return words;
  };
  for (const command of commands) {
    const words = command.path.split(' ');
    for (const [index, word] of words.entries()) at(words.slice(0, index).join(' ')).add(word);
    for (const flag of flagsOf(command)) {
      at(command.path).add(`--${flag.name}`);
      if (flag.value === undefined) continue;
      const values = at(`${command.path} --${flag.name}`);
      for (const choice of flag.choices ?? []) values.add(choice);
    }
    if (command.path === 'completion') for (const shell of SHELLS) at(command.path).add(shell);
  }
  return tree;
}

/** A function of either shell that puts the words behind a path into `variable`, and fails where there is no such path. */
function lookUp(tree: Map<string, Set<string>>, variable: string): string {
  const cases = [...tree].map(([path, words]) => `    ${quote(path)}) ${variable}=${quote([...words].join(' '))} ;;`);
  return `_writ_words() {
  case "$1" in
${cases.join('\n')}
    *) return 1 ;;
  esac
}`;
}

function bash(tree: Map<string, Set<string>>): string {
  return `${lookUp(tree, 'words')}
_writ() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      --) COMPREPLY=(); return ;;
      -*) ;;
      *) if _writ_words "\${path:+$path }$word"; then path="\${path:+$path }$word"; fi ;;
    esac
  done
  case "$previous" in
    --*) if _writ_words "$path $previous"; then COMPREPLY=($(compgen -W "$words" -- "$current")); return; fi ;;
  esac
  _writ_words "$path"
  case "$current" in
    -*) ;;
    *) words=$(for word in $words; do case "$word" in -*) ;; *) echo "$word" ;; esac; done) ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _writ writ
`;
}

/**
 * Works from a directory of `fpath`, where the file is the function itself, and when it is sourced. Zsh keeps names such
 * as `words` and `path` for itself.
 */
function zsh(tree: Map<string, Set<string>>): string {
  return `#compdef writ
${lookUp(tree, 'offered')}
_writ() {
  local at="" offered="" word
  local -a plain
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in
      --) _files; return ;;
      -*) ;;
      *) if _writ_words "\${at:+$at }$word"; then at="\${at:+$at }$word"; fi ;;
    esac
  done
  case "\${words[CURRENT-1]}" in
    --*) if _writ_words "$at \${words[CURRENT-1]}"; then
        if [ -n "$offered" ]; then compadd -- \${=offered}; else _files; fi
        return
      fi ;;
  esac
  _writ_words "$at"
  plain=(\${\${=offered}:#-*})
  case "\${words[CURRENT]}" in
    -*) compadd -- \${(M)\${=offered}:#-*} ;;
    *) if (( $#plain )); then compadd -- $plain; else _files; fi ;;
  esac
}
if [ "$funcstack[1]" = _writ ]; then
  _writ "$@"
else
  (( $+functions[compdef] )) || { autoload -U compinit && compinit; }
  compdef _writ writ
fi
`;
}

function fish(commands: readonly Command[]): string {
  const lines: string[] = ['complete -c writ -n __fish_use_subcommand -f -a help'];
  const nouns = new Map<string, string>();
  for (const { path, summary } of commands) {
    const [noun, verb] = path.split(' ');
    if (!nouns.has(noun!)) nouns.set(noun!, verb === undefined ? summary : '');
  }
  for (const [noun, summary] of nouns) {
    lines.push(
      `complete -c writ -n __fish_use_subcommand -f -a ${noun}${summary === '' ? '' : ` -d ${quote(summary)}`}`,
    );
  }
  for (const command of commands) {
    const [noun, verb] = command.path.split(' ');
    const seen = `__fish_seen_subcommand_from ${noun}`;
    const verbs = commands.filter(({ path }) => path.startsWith(`${noun} `)).map(({ path }) => path.split(' ')[1]!);
    if (verb !== undefined) {
      const fresh = `${seen}; and not __fish_seen_subcommand_from ${verbs.join(' ')}`;
      lines.push(`complete -c writ -n ${quote(fresh)} -f -a ${verb} -d ${quote(command.summary)}`);
    }
    const at = verb === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${verb}`;
    if (noun === 'completion') lines.push(`complete -c writ -n ${quote(at)} -f -a ${quote(SHELLS.join(' '))}`);
    for (const flag of flagsOf(command)) {
      const value =
        flag.value === undefined
          ? ''
          : flag.choices === undefined
            ? ' -r -F'
            : ` -x -a ${quote(flag.choices.join(' '))}`;
      lines.push(`complete -c writ -n ${quote(at)} -l ${flag.name} -d ${quote(flag.summary)}${value}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

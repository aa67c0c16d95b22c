import { WritError } from '../base/error.ts';
import { type Command, EXIT } from './command.ts';
import { needed } from './program.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `writ completion SHELL`, made from the same table as the parser. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    path: 'completion',
    summary: 'Print shell completion',
    details: `Shells: ${SHELLS.join(', ')}.`,
    parameters: [{ name: 'shell', summary: SHELLS.join(' | '), required: true }],
    examples: [{ line: 'source <(writ completion bash)', does: 'completes in this shell' }],
    async run(input, terminal) {
      const shell = needed(input, 'shell');
      const script = completionScript(shell, commands());
      terminal.result({ shell, script }, script);
      return EXIT.ok;
    },
  };
}

/** The script for one shell: completes nouns, verbs, flags and the fixed values of flags. */
export function completionScript(shell: string, commands: readonly Command[]): string {
  const tree = completionTree(commands);
  if (shell === 'bash') return bash(tree);
  if (shell === 'zsh') return `#compdef writ\nautoload -U +X bashcompinit && bashcompinit\n${bash(tree)}`;
  if (shell === 'fish') return fish(commands);
  throw new WritError('bad_request', 'There is no completion for this shell', {
    field: 'shell',
    remedy: `Use one of: ${SHELLS.join(', ')}.`,
  });
}

/** Words that may follow each path (`''`, `agent`, `agent create` …). */
function completionTree(commands: readonly Command[]): Map<string, Set<string>> {
  const tree = new Map<string, Set<string>>([['', new Set(['help'])]]);
  const add = (path: string, word: string): void => {
    const words = tree.get(path) ?? new Set();
    tree.set(path, words.add(word));
  };
  for (const command of commands) {
    const words = command.path.split(' ');
    for (const [index, word] of words.entries()) add(words.slice(0, index).join(' '), word);
    for (const flag of command.flags ?? []) {
      add(command.path, `--${flag.name}`);
      for (const choice of flag.choices ?? []) add(`${command.path} --${flag.name}`, choice);
    }
    if (command.changes === true) add(command.path, '--dry-run');
    for (const flag of ['--json', '--quiet', '--help']) add(command.path, flag);
  }
  return tree;
}

function bash(tree: Map<string, Set<string>>): string {
  const cases = [...tree].map(([path, words]) => `    ${quote(path)}) words=${quote([...words].join(' '))} ;;`);
  return `_writ() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case "$path" in *' '*) ;; '') path="$word" ;; *) path="$path $word" ;; esac ;; esac
  done
  case "$previous" in --*) path="$path $previous" ;; esac
  while :; do
    case "$path" in
${cases.join('\n')}
    esac
    if [ -n "$words" ] || [ -z "$path" ]; then break; fi
    case "$path" in *' '*) path="\${path% *}" ;; *) path="" ;; esac
  done
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _writ writ
`;
}

function fish(commands: readonly Command[]): string {
  const lines: string[] = ['complete -c writ -f'];
  const nouns = new Set(commands.map((command) => command.path.split(' ')[0]!));
  for (const noun of nouns) lines.push(`complete -c writ -n __fish_use_subcommand -a ${noun}`);
  for (const command of commands) {
    const [noun, verb] = command.path.split(' ');
    const seen = `__fish_seen_subcommand_from ${noun}`;
    if (verb !== undefined) lines.push(`complete -c writ -n '${seen}' -a ${verb} -d ${quote(command.summary)}`);
    const at = verb === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${verb}`;
    for (const flag of command.flags ?? []) {
      const choices = flag.choices === undefined ? '' : ` -x -a ${quote(flag.choices.join(' '))}`;
      lines.push(`complete -c writ -n '${at}' -l ${flag.name} -d ${quote(flag.summary)}${choices}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

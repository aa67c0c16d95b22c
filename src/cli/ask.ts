/** Asks the person at the terminal for a line of text; undefined when they press Ctrl-C. On stderr: stdout is for results. */
export async function askPerson(question: string): Promise<string | undefined> {
  // Loaded only when somebody is asked, which is seldom.
  const { isCancel, text } = await import('@clack/prompts');
  const answer = await text({ message: question, output: process.stderr });
  return isCancel(answer) ? undefined : answer;
}

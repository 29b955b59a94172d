/** @file Groups of names that are linked, directly or through others (a union-find structure). */

export class Links {
  /** By name another one of its group, up to the one that leads it. */
  private readonly leaders = new Map<string, string>();

  /** Makes the groups of both names one. */
  link(a: string, b: string): void {
    const [leader, other] = [this.leaderOf(a), this.leaderOf(b)].sort() as [string, string];
    if (leader !== other) this.leaders.set(other, leader);
  }

  /** The first name of the group in alphabetical order. A name without links is a group by itself. */
  leaderOf(name: string): string {
    let leader = name;
    for (let next = this.leaders.get(leader); next !== undefined; next = this.leaders.get(leader))
      leader = next;
    if (leader !== name) this.leaders.set(name, leader);
    return leader;
  }
}

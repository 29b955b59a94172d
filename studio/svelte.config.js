/** Runes everywhere: state is declared as such. */
export default { compilerOptions: { runes: true } };

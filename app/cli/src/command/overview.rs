//! No arguments: commands by what people want.

pub(crate) const TEXT: &str = "\
Mainstay runs a company's platform from one file.

  start    check  plan  rehearse  apply  up  deploy  down
  look     status  why  logs  jobs  history  explain
  steer    rollback  abort  retry  hold  promote  pause  resume  approve  checklist
  protect  ledger  secret  token
  help     doctor  schema  completions  version      mainstay help COMMAND for details";

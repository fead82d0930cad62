//! No arguments: commands by what people want.

pub(crate) const TEXT: &str = "\
Mainstay runs a company's platform from one file.

  start    check  plan  rehearse  apply  up  deploy  down
  look     status  why  logs  jobs  history  explain  query  alerts
  steer    rollback  abort  retry  hold  promote  pause  resume  approve  checklist  scale  routes
  protect  ledger  secret  token
  help     test  signals  doctor  schema  completions  version      mainstay help COMMAND for details";

//! The terminal as its operator meets it: the real program in tmux, live, while real traffic flows.

mod approval;
mod ending;
mod figures;
mod hostile;
mod input;
mod looks;
mod restart;
mod resync;
mod reveal;
mod screen;
mod walk;

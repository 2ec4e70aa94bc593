//! Services: deploy, pause, stop, resume, rollout.

//! Post-quantum secure sessions for applications: endpoints, sessions, channels and kernels.

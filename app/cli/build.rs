//! How the binary is linked where the linker is the one that Rust brings (LLD, on Linux on x86-64): functions of the
//! same code and texts that end alike are kept once, and relocations in their short form (`DT_RELR`, glibc 2.36 and
//! later).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all,-O2");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

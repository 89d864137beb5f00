//! What it costs to be counted. The bar for an uncontended pair of lock and unlock is 30 ns.
#![allow(missing_docs)] // criterion_main! makes public functions

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use hangup_core::fd::{FdMutex, Lane};

fn uncontended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fd_mutex");
    let mutex = FdMutex::new();
    group.bench_function("enter + leave", |bencher| {
        bencher.iter(|| {
            let admitted = black_box(&mutex).enter();
            (admitted, black_box(&mutex).leave())
        });
    });
    group.bench_function("enter_lane + leave_lane", |bencher| {
        bencher.iter(|| {
            let admitted = black_box(&mutex).enter_lane(Lane::Write);
            (admitted, black_box(&mutex).leave_lane(Lane::Write))
        });
    });
    let std_mutex = std::sync::Mutex::new(());
    group.bench_function("std::sync::Mutex, for comparison", |bencher| {
        bencher.iter(|| drop(black_box(black_box(&std_mutex).lock())));
    });
    group.finish();
}

criterion_group!(benches, uncontended);
criterion_main!(benches);

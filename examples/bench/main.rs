//! Measures a release build of the service on this machine and prints one table; `make bench` runs it.

mod data;
mod million;
mod rates;
mod stack;
mod table;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use stack::Stack;
use table::Table;

/// Throughput, rates, start and memory, each next to its limit measured in the same run.
#[derive(Parser)]
struct Arguments {
    /// The service
    #[arg(long, default_value = "target/release/vitrine")]
    vitrine: PathBuf,
    /// SeaweedFS
    #[arg(long, default_value = ".venv/bin/weed")]
    weed: PathBuf,
    /// Memory under large and under many uploads, and nothing else
    #[arg(long)]
    memory: bool,
    /// Lists out of a million images, and nothing else
    #[arg(long)]
    million: bool,
    /// Size of the image whose throughput is measured, in MiB
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// Size of the image of unknown length, in MiB
    #[arg(long, default_value_t = 5 * 1024)]
    large: u64,
    /// Size of each of the concurrent uploads, in MiB
    #[arg(long, default_value_t = 512)]
    each: u64,
    /// How often throughput is measured; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How long each rate is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let met = runtime.block_on(Box::pin(measure(&arguments)))?;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let [vitrine, weed] = [&arguments.vitrine, &arguments.weed].map(std::path::absolute);
    let mut stack = Box::pin(Stack::start(&vitrine?, &weed?)).await?;
    let mut table = Table::default();
    let cores = std::thread::available_parallelism()?;
    table.note(format!("{cores} cores, shared by driver, service, PostgreSQL and SeaweedFS"));
    if arguments.memory {
        data::memory(&mut stack, &mut table, arguments.large << 20, arguments.each << 20).await?;
    } else if arguments.million {
        million::lists(&mut stack, &mut table, Duration::from_secs(arguments.seconds)).await?;
    } else {
        rates::start(&stack, &mut table).await?;
        data::throughput(&stack, &mut table, arguments.size << 20, arguments.runs).await?;
        rates::rates(&mut stack, &mut table, Duration::from_secs(arguments.seconds)).await?;
        table.note("16 kept connections for every rate; PostgreSQL does not wait for its disk".to_owned());
    }
    println!();
    Ok(table.print())
}

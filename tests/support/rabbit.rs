//! One RabbitMQ node for the whole test process, from the installed server programs.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use uuid::Uuid;
use vitrine::dev::scratch_dir;

use super::eventually;

const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Never dropped: the node ends with the process, as its keeper's standard input closes then.
static NODE: OnceCell<Node> = OnceCell::const_new();

/// Runs the port mapper of Erlang and the node, and ends them by their ids when standard input closes. `$1` is the
/// directory of their files, `$2` the port of the mapper.
const KEEPER: &str = r#"
home=$1 port=$2
exec 3<&0
# not under the name that nodes of this machine share, nor as a daemon that outlives its node
epmd -port "$port" -address 127.0.0.1 </dev/null 3<&- &
mapper=$!
"$3" </dev/null 3<&- &
node=$!
{
  read -r line <&3
  kill -s KILL "$node" "$(cat "$home/pid")" "$mapper"
  rm -rf -- "$home"
} 2>/dev/null &
wait "$node"
"#;

struct Node {
    address: SocketAddr,
    _keeper: Mutex<Child>,
}

/// A virtual place within the node that no other test uses: exchanges and queues carry its name.
pub struct Broker {
    /// Where the node listens.
    pub address: SocketAddr,
    /// An exchange of its own.
    pub exchange: String,
    /// A topic of its own.
    pub topic: String,
}

impl Broker {
    /// A part of the node that nobody has used. The node is started where it does not run yet.
    pub async fn new() -> Self {
        let node = NODE.get_or_init(start).await;
        let name = Uuid::new_v4().simple().to_string();
        Self { address: node.address, exchange: format!("exchange-{name}"), topic: format!("topic-{name}") }
    }

    /// URL of the node, by way of `address`.
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("amqp://guest:guest@{address}/%2f")
    }

    /// Everything that is in the queue of a priority, taken out in its order: properties beside the body.
    pub async fn take(&self, priority: &str) -> Vec<(Value, Value)> {
        let (connection, channel) = self.channel().await;
        let queue = format!("{}.{priority}", self.topic);
        let mut messages = Vec::new();
        while let Some(message) =
            channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap()
        {
            message.delivery.ack(BasicAckOptions::default()).await.unwrap();
            let properties = &message.delivery.properties;
            let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
            let properties = serde_json::json!({
                "content_type": text(properties.content_type()),
                "content_encoding": text(properties.content_encoding()),
                "message_id": text(properties.message_id()),
                "delivery_mode": properties.delivery_mode(),
                "exchange": message.delivery.exchange.to_string(),
                "routing_key": message.delivery.routing_key.to_string(),
            });
            messages.push((properties, serde_json::from_slice(&message.delivery.data).unwrap()));
        }
        drop(connection);
        messages
    }

    async fn channel(&self) -> (Connection, Channel) {
        let url = self.url_at(self.address);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }
}

async fn start() -> Node {
    assert!(
        Path::new(PROGRAM).exists(),
        "this test needs the server programs of RabbitMQ; `scripts/setup rabbitmq` installs them"
    );
    // a free port may be gone by the time it is bound
    for _ in 0..3 {
        if let Some(node) = launch().await {
            return node;
        }
    }
    panic!("RabbitMQ does not start")
}

async fn launch() -> Option<Node> {
    let home = scratch_dir("rabbit").unwrap();
    let [port, distribution, mapper] = free_ports();
    let log = File::create(home.join("log")).unwrap();
    let mut keeper = Command::new("/bin/sh");
    keeper.args(["-c", KEEPER, "sh"]).arg(&home).args([&mapper.to_string(), PROGRAM]);
    settings(&mut keeper, &home, port, distribution, mapper);
    // its own process group: an interrupt from the terminal is for this process
    keeper.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut keeper = keeper.spawn().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let up = eventually("RabbitMQ listens", async || {
        if keeper.try_wait().unwrap().is_some() {
            return Some(false);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        TcpStream::connect(address).await.is_ok().then_some(true)
    });
    if up.await {
        Some(Node { address, _keeper: Mutex::new(keeper) })
    } else {
        eprintln!("{}", fs::read_to_string(home.join("log")).unwrap_or_default());
        None
    }
}

/// Everything under `home` and on loopback, and nothing of the node that the machine may run for itself.
fn settings(command: &mut Command, home: &Path, port: u16, distribution: u16, mapper: u16) {
    let files = [
        ("HOME", ""),
        ("RABBITMQ_MNESIA_BASE", "data"),
        ("RABBITMQ_LOG_BASE", "logs"),
        ("RABBITMQ_PID_FILE", "pid"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
        ("RABBITMQ_CONFIG_FILE", "absent"),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", "absent"),
        ("RABBITMQ_CONF_ENV_FILE", "absent"),
        ("RABBITMQ_FEATURE_FLAGS_FILE", "flags"),
        ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
    ];
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RABBITMQ_") {
            command.env_remove(&name);
        }
    }
    command.envs(files.map(|(name, file)| (name, home.join(file).into_os_string())));
    command.envs([
        ("RABBITMQ_NODENAME", format!("vitrine-{port}@localhost")),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODE_PORT", port.to_string()),
        ("RABBITMQ_DIST_PORT", distribution.to_string()),
        ("ERL_EPMD_PORT", mapper.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_LOGS", "-".to_owned()),
        // one scheduler: tests share the processors
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-start_epmd false +S 1:1 -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
    ]);
}

/// Ports that nothing listens on at this moment.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

# shellcheck shell=bash
# How a native Kafka broker is made, started and stopped. deploy/dev/up has one of them, deploy/dev/brokers as many as it is asked for.
# A broker is a folder: its ports, its configuration, its data, its log, its pid.

jars=$here/.state/kafka/lib # the same for all, wherever their state lies
heap=(-Xms256m -Xmx512m)
secure= # a folder with ca.pem and broker.pem: then there are listeners for SASL and for client certificates, and rights count

# free_port prints a port on 127.0.0.1 that nothing listens on, below the range from which the kernel takes ports for outgoing
# connections. The port noted in file $1 is kept if it is still free, so that addresses outlive a restart.
free_port() {
	local port tries
	port=$(cat "$1" 2>/dev/null) || port=
	for ((tries = 0; tries < 200; tries++)); do
		if [[ $port =~ ^[0-9]+$ ]] && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port" >"$1"
			echo "$port"
			return
		fi
		port=$((20000 + RANDOM % 12000))
	done
	die "found no free port between 20000 and 32000"
}

java_bin() { # a Java of at least 17, which Kafka 4 needs
	local java version
	for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
		[[ -x $java ]] || continue
		version=$("$java" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p') || continue
		if ((${version:-0} >= 17)); then
			echo "$java"
			return
		fi
	done
	return 1
}

kafka_jars() { compgen -G "$jars/kafka_2.13-*.jar" >/dev/null && [[ -f $jars/.complete ]]; }

fetch_kafka() {
	kafka_jars && return
	mkdir -p "${jars%/*}"
	(
		flock 8
		kafka_jars && exit # somebody else was quicker
		say "fetching Kafka's jars with Maven"
		rm -rf "$jars"
		mvn -q -B -f "$here/kafka-pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
			-DincludeScope=runtime -DoutputDirectory="$jars" >"$jars.log" 2>&1 || {
			grep -m 1 ERROR "$jars.log" | cut -c 1-500 >&2 || true # the rest is Maven's advice
			die "Maven could not fetch Kafka, see $jars.log"
		}
		touch "$jars/.complete" # stopped half-way, the next one fetches again
	) 8>"$jars.lock"
}

# broker_config DIR NODE VOTERS REPLICAS writes the configuration of a broker whose ports are chosen already.
broker_config() {
	local dir=$1 port control in_sync=1 listeners more=
	port=$(cat "$dir/port")
	control=$(cat "$dir/controller.port")
	if (($4 >= 3)); then in_sync=2; fi
	listeners=PLAINTEXT://127.0.0.1:$port
	if [[ $secure ]]; then
		listeners+=,SASL://127.0.0.1:$(cat "$dir/sasl.port"),MTLS://127.0.0.1:$(cat "$dir/mtls.port")
		more=",SASL:SASL_SSL,MTLS:SSL"
	fi
	cat >"$dir/server.properties" <<-CONF
		# Written anew at every start.
		process.roles=broker,controller
		node.id=$2
		controller.quorum.voters=$3
		controller.listener.names=CONTROLLER
		listeners=$listeners,CONTROLLER://127.0.0.1:$control
		advertised.listeners=$listeners
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$more
		inter.broker.listener.name=PLAINTEXT
		log.dirs=$dir/data
		auto.create.topics.enable=false
		unclean.leader.election.enable=false
		group.initial.rebalance.delay.ms=0
		# a killed broker is refused as a duplicate of itself until its session ends
		broker.session.timeout.ms=3000
		broker.heartbeat.interval.ms=500
		offsets.topic.num.partitions=5
		offsets.topic.replication.factor=$4
		transaction.state.log.num.partitions=5
		transaction.state.log.replication.factor=$4
		transaction.state.log.min.isr=$in_sync
		share.coordinator.state.topic.num.partitions=1
		share.coordinator.state.topic.replication.factor=$4
		share.coordinator.state.topic.min.isr=$in_sync
	CONF
	[[ ! $secure ]] || cat >>"$dir/server.properties" <<-CONF
		authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
		# whoever comes in the clear from this machine may do all: brokers among themselves, and the one who provisions
		super.users=User:ANONYMOUS
		sasl.enabled.mechanisms=SCRAM-SHA-512
		listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
		ssl.keystore.type=PEM
		ssl.keystore.location=$secure/broker.pem
		ssl.truststore.type=PEM
		ssl.truststore.location=$secure/ca.pem
		listener.name.mtls.ssl.client.auth=required
	CONF
}

cluster_id() {
	local id
	id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
	[[ $id != -* ]] || id=A${id:1} # not to be taken for an option
	echo "$id"
}

# broker_start DIR CLUSTER starts a broker with the configuration that stands in its folder, and waits until it is ready.
broker_start() {
	local java pid dir=$1 config=$1/server.properties log=$1/server.log end
	java=$(java_bin) || die "no Java of at least 17 is to be found"
	local -a run=("$java" "${heap[@]}" -Dlog4j2.level=INFO -cp "$jars/*")
	if [[ ! -f $dir/data/meta.properties ]]; then
		"${run[@]}" kafka.tools.StorageTool format -t "$2" -c "$config" >"$dir/format.log" 2>&1 ||
			die "Kafka's storage could not be formatted, see $dir/format.log"
	fi
	[[ ! -f $log ]] || mv "$log" "$log.1" # a new log, or the old "started" line would answer below
	setsid nohup "${run[@]}" kafka.Kafka "$config" </dev/null >"$log" 2>&1 9>&- &
	pid=$!
	echo "$pid" >"$dir/pid"
	end=$((SECONDS + 90))
	until grep -q 'Kafka Server started' "$log"; do
		if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > end)); then
			grep -E 'ERROR|FATAL|Exception' "$log" | head -n 5 >&2 || true
			broker_stop "$dir"
			die "Kafka did not start, see $log"
		fi
		sleep 0.1
	done
}

broker_pid() { cat "$1/pid" 2>/dev/null; }

# broker_runs DIR: by its pid, and only if that process is ours.
broker_runs() {
	local pid
	pid=$(broker_pid "$1") || pid=
	ours "$pid" "$1/server.properties"
}

broker_stop() {
	local pid
	if broker_runs "$1"; then
		pid=$(broker_pid "$1")
		say "stopping Kafka (pid $pid)"
		kill -TERM "$pid"
		wait_gone "$pid" "$1/server.properties" 30 || broker_kill "$1"
	fi
	rm -f "$1/pid"
}

# broker_kill DIR is SIGKILL.
broker_kill() {
	local pid
	broker_runs "$1" || return 0
	pid=$(broker_pid "$1")
	kill -KILL "$pid"
	wait_gone "$pid" "$1/server.properties" 10 || die "Kafka (pid $pid) does not end"
}

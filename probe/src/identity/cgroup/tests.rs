//! Paths as they are found on real nodes.

use super::*;

const ID: &str = "3f2a9c1b2d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";
const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const UID: &str = "0d9f8b6c-5a4e-4c3d-9b2a-1f0e9d8c7b6a";
const UID_: &str = "0d9f8b6c_5a4e_4c3d_9b2a_1f0e9d8c7b6a";
const STATIC: &str = "f1e2d3c4b5a697887766554433221100";

struct Row {
    path: String,
    container: &'static str,
    runtime: &'static str,
    pod: &'static str,
    unit: &'static str,
}

fn row(
    path: impl Into<String>,
    container: &'static str,
    runtime: &'static str,
    pod: &'static str,
    unit: &'static str,
) -> Row {
    Row { path: path.into(), container, runtime, pod, unit }
}

fn systemd() -> Vec<Row> {
    vec![
        row("/", "", "", "", ""),
        row("", "", "", "", ""),
        row("/init.scope", "", "", "", ""),
        row("/system.slice/ssh.service", "", "", "", "ssh.service"),
        row("/system.slice/nginx.service", "", "", "", "nginx.service"),
        row("/system.slice/system-getty.slice/getty@tty1.service", "", "", "", "getty@tty1.service"),
        row(
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            "",
            "",
            "",
            "postgresql@15-main.service",
        ),
        row("/system.slice/systemd-udevd.service/udev", "", "", "", "systemd-udevd.service"),
        row("/system.slice/containerd.service", "", "", "", "containerd.service"),
        row("/system.slice/run-r0123456789abcdef.scope", "", "", "", ""),
        row("/user.slice/user-1000.slice/session-3.scope", "", "", "", ""),
        row("/user.slice/user-1000.slice/user@1000.service/init.scope", "", "", "", ""),
        row("/user.slice/user-1000.slice/user@1000.service", "", "", "", ""),
        row(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-firefox-4242.scope",
            "",
            "",
            "",
            "",
        ),
        row(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1f0e9d8c-7b6a-4c3d-9b2a-0d9f8b6c5a4e.scope",
            "",
            "",
            "",
            "",
        ),
        row(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/orders.service",
            "",
            "",
            "",
            "orders.service",
        ),
        row("/machine.slice/systemd-nspawn@web.service/payload", "", "", "", "systemd-nspawn@web.service"),
        row("/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", "", "", "", ""),
        row("/process_api/95e965ea1cad2639f40cf755002582d6", "", "", "", ""),
        row("/nomad.slice/share.slice/0d9f8b6c-5a4e-4c3d-9b2a-1f0e9d8c7b6a.web.scope", "", "", "", ""),
    ]
}

fn engines() -> Vec<Row> {
    vec![
        row(format!("/docker/{ID}"), ID, "docker", "", ""),
        row(format!("/system.slice/docker-{ID}.scope"), ID, "docker", "", ""),
        row(format!("/system.slice/docker-{ID}.scope/init"), ID, "docker", "", ""),
        row(format!("/system.slice/docker-{ID}.scope/system.slice/nginx.service"), ID, "docker", "", ""),
        row(format!("/docker/{ID}/system.slice/ssh.service"), ID, "docker", "", ""),
        row(format!("/docker/{OUTER}/docker/{ID}"), ID, "docker", "", ""),
        row(
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
            ID,
            "docker",
            "",
            "",
        ),
        row(format!("/actions_job/{ID}"), ID, "docker", "", ""),
        row(format!("/machine.slice/libpod-{ID}.scope"), ID, "podman", "", ""),
        row(format!("/machine.slice/libpod-{ID}.scope/container"), ID, "podman", "", ""),
        row(
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"),
            ID,
            "podman",
            "",
            "",
        ),
        row(
            format!(
                "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_{OUTER}.slice/libpod-{ID}.scope"
            ),
            ID,
            "podman",
            "",
            "",
        ),
        row(format!("/libpod_parent/libpod-{ID}"), ID, "podman", "", ""),
        row(format!("/system.slice/web.service/libpod-payload-{ID}"), ID, "podman", "", "web.service"),
        row("/system.slice/web.service/runtime", "", "", "", "web.service"),
        row(format!("/machine.slice/libpod-conmon-{ID}.scope"), "", "", "", ""),
        row(format!("/default/{ID}"), ID, "containerd", "", ""),
        row(format!("/system.slice/nerdctl-{ID}.scope"), ID, "containerd", "", ""),
        row(format!("/system.slice:docker:{ID}"), ID, "docker", "", ""),
        row("/lxc/web/system.slice/nginx.service", "web", "lxc", "", ""),
        row("/lxc.payload.web/system.slice/nginx.service", "web", "lxc", "", ""),
        row("/lxc.monitor.web", "", "", "", ""),
        row(format!("/ecs/0d9f8b6c5a4e4c3d9b2a1f0e9d8c7b6a/{ID}"), ID, "ecs", "", ""),
        row(
            "/ecs/0d9f8b6c5a4e4c3d9b2a1f0e9d8c7b6a/0d9f8b6c5a4e4c3d9b2a1f0e9d8c7b6a-1234567890",
            "0d9f8b6c5a4e4c3d9b2a1f0e9d8c7b6a-1234567890",
            "ecs",
            "",
            "",
        ),
        row(format!("/../cri-containerd-{ID}.scope"), ID, "containerd", "", ""),
    ]
}

fn kubernetes() -> Vec<Row> {
    vec![
        row(format!("/kubepods/burstable/pod{UID}/{ID}"), ID, "", UID, ""),
        row(format!("/kubepods/besteffort/pod{UID}/{ID}"), ID, "", UID, ""),
        row(format!("/kubepods/pod{UID}/{ID}"), ID, "", UID, ""),
        row(format!("/kubepods/pod{UID}"), "", "", UID, ""),
        row(format!("/kubepods/burstable/pod{STATIC}/{ID}"), ID, "", STATIC, ""),
        row(format!("/kubepods/burstable/pod{UID}/crio-{ID}"), ID, "cri-o", UID, ""),
        row(
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope"
            ),
            ID,
            "containerd",
            UID,
            "",
        ),
        row(
            format!("/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope"),
            ID,
            "containerd",
            UID,
            "",
        ),
        row(
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/docker-{ID}.scope"
            ),
            ID,
            "docker",
            UID,
            "",
        ),
        row(
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/crio-{ID}.scope"
            ),
            ID,
            "cri-o",
            UID,
            "",
        ),
        row(
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/crio-{ID}.scope/container"
            ),
            ID,
            "cri-o",
            UID,
            "",
        ),
        row(
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/crio-conmon-{ID}.scope"
            ),
            "",
            "",
            UID,
            "",
        ),
        row(
            format!("/kubepods.slice/kubepods-pod{STATIC}.slice/cri-containerd-{ID}.scope"),
            ID,
            "containerd",
            STATIC,
            "",
        ),
        row(
            format!("/system.slice/kubepods-besteffort-pod{UID_}.slice:cri-containerd:{ID}"),
            ID,
            "containerd",
            UID,
            "",
        ),
        row(
            format!(
                "/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}"
            ),
            ID,
            "containerd",
            UID,
            "containerd.service",
        ),
        row(format!("/docker/{OUTER}/kubelet/kubepods/burstable/pod{UID}/{ID}"), ID, "", UID, ""),
        row(
            format!(
                "/system.slice/docker-{OUTER}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope"
            ),
            ID,
            "containerd",
            UID,
            "",
        ),
        row(format!("/docker/{OUTER}/kubelet.slice/kubelet.service"), OUTER, "docker", "", ""),
        row(format!("/k8s.io/{ID}"), ID, "containerd", "", ""),
    ]
}

#[test]
fn real_paths_are_read() {
    for Row { path, container, runtime, pod, unit } in
        systemd().into_iter().chain(engines()).chain(kubernetes())
    {
        let expected =
            Placement { container: container.into(), runtime, pod_uid: pod.into(), unit: unit.into() };
        assert_eq!(Placement::of_path(&path), expected, "{path}");
    }
}

#[test]
fn near_misses_are_not_containers() {
    let short = ID.get(..63).unwrap();
    let upper = ID.to_uppercase();
    for path in [
        format!("/docker/{short}"),
        format!("/docker/{upper}"),
        format!("/docker/{ID}0"),
        "/podcast".into(),
        "/kubepods/pod".into(),
    ] {
        assert_eq!(Placement::of_path(&path), Placement::default(), "{path}");
    }
}

#[test]
fn the_line_that_tells_the_most_wins() {
    let v1 =
        format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service\n");
    assert_eq!(Placement::of_process(&v1).container, ID);
    let hybrid = "5:pids:/\n1:name=systemd:/system.slice/nginx.service\n0::/\n";
    assert_eq!(Placement::of_process(hybrid).unit, "nginx.service");
    assert_eq!(Placement::of_process("0::/\n"), Placement::default());
    assert_eq!(Placement::of_process("nonsense"), Placement::default());
}

#[test]
fn a_container_is_shown_by_twelve_digits_or_its_name() {
    let docker = Placement::of_path(&format!("/docker/{ID}"));
    assert_eq!(docker.short_container(), "3f2a9c1b2d4e");
    assert_eq!(Placement::of_path("/lxc/web-server-of-the-shop").short_container(), "web-server-of-the-shop");
}

proptest::proptest! {
    #[test]
    fn no_path_panics(path in "(/?(kubepods|pod|docker|-|:|\\.scope|\\.slice|[a-f0-9]{60,64}|\\PC){0,4}){0,5}") {
        let _placement = Placement::of_process(&format!("0::{path}"));
    }
}

/** The words of the native parts (menus, dialogs of leaving and of mishaps) in both languages; the window's own are the renderer's. */
export type Language = 'en' | 'ko';

const en = {
  file: 'File', newWindow: 'New Window', closeWindow: 'Close Window', quit: 'Quit Attune',
  edit: 'Edit', undo: 'Undo', redo: 'Redo', cut: 'Cut', copy: 'Copy', paste: 'Paste', selectAll: 'Select All',
  view: 'View', reload: 'Reload', actualSize: 'Actual Size', zoomIn: 'Zoom In', zoomOut: 'Zoom Out', fullScreen: 'Full Screen',
  devTools: 'Developer Tools',
  go: 'Go', library: 'Library', datasets: 'Datasets', train: 'Train', runs: 'Runs', playground: 'Playground', export: 'Export', reports: 'Reports',
  window: 'Window', minimize: 'Minimize', zoom: 'Zoom', front: 'Bring All to Front',
  about: 'About Attune', hide: 'Hide Attune', hideOthers: 'Hide Others', showAll: 'Show All', services: 'Services',
  training: 'A training is running.',
  trainingDetail: 'Attune stops it after the step under way and keeps what it has learned. It can be resumed later.',
  stopAndQuit: 'Stop and Quit', cancel: 'Cancel',
  pageGone: 'The window stopped working.',
  pageGoneDetail: 'Nothing is lost: data is saved as it changes and training goes on.',
  openInBrowser: 'This library is open in the browser already.', openElsewhere: 'This library is open in another window already.',
  openThere: 'Open It There',
};
export type Labels = typeof en;

const ko: Labels = {
  file: '파일', newWindow: '새 창', closeWindow: '창 닫기', quit: 'Attune 종료',
  edit: '편집', undo: '실행 취소', redo: '다시 실행', cut: '잘라내기', copy: '복사', paste: '붙여넣기', selectAll: '모두 선택',
  view: '보기', reload: '새로 고침', actualSize: '실제 크기', zoomIn: '확대', zoomOut: '축소', fullScreen: '전체 화면', devTools: '개발자 도구',
  go: '이동', library: '라이브러리', datasets: '데이터셋', train: '학습', runs: '실행', playground: '플레이그라운드', export: '내보내기', reports: '보고서',
  window: '창', minimize: '최소화', zoom: '확대/축소', front: '모두 앞으로 가져오기',
  about: 'Attune 정보', hide: 'Attune 가리기', hideOthers: '기타 가리기', showAll: '모두 보기', services: '서비스',
  training: '학습이 진행 중입니다.',
  trainingDetail: '진행 중인 스텝이 끝나면 멈추고 지금까지 학습한 내용을 저장합니다. 나중에 이어서 할 수 있습니다.',
  stopAndQuit: '멈추고 종료', cancel: '취소',
  pageGone: '창이 작동을 멈췄습니다.',
  pageGoneDetail: '잃은 것은 없습니다. 데이터는 바뀔 때마다 저장되고 학습은 계속됩니다.',
  openInBrowser: '이 라이브러리는 이미 브라우저에서 열려 있습니다.', openElsewhere: '이 라이브러리는 이미 다른 창에서 열려 있습니다.',
  openThere: '거기서 열기',
};

export const LABELS: Record<Language, Labels> = { en, ko };
